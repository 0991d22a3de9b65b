/*
 * opal_config.h - what every header of the Open PAL interface relies on
 *
 * Include it first. It gives the integer, boolean and process types, the marks of exported symbols
 * and the version of the interface.
 */
#ifndef OPAL_CONFIG_H
#define OPAL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define OPAL_MAJOR_VERSION   1
#define OPAL_MINOR_VERSION   6
#define OPAL_RELEASE_VERSION 0

#define OPAL_ENABLE_FT          1
#define OPAL_ENABLE_FT_CR       1
#define OPAL_WANT_FT            1
#define OPAL_HAVE_POSIX_THREADS 1

#if defined(__GNUC__)
#define OPAL_DECLSPEC __attribute__((visibility("default")))
#else
#define OPAL_DECLSPEC
#endif
#define OPAL_MODULE_DECLSPEC OPAL_DECLSPEC

#if defined(c_plusplus) || defined(__cplusplus)
#define BEGIN_C_DECLS extern "C" {
#define END_C_DECLS   }
#else
#define BEGIN_C_DECLS
#define END_C_DECLS
#endif

#endif
