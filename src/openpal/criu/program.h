/*
 * program.h - the program criu, and whether it may be of use here
 */
#ifndef OPENPAL_CRIU_PROGRAM_H
#define OPENPAL_CRIU_PROGRAM_H

#include <stdbool.h>

#include "base/error.h"

/* The path of `name`, which has a slash, or is looked for in PATH and where administrators'
 * programs are. The caller frees it. */
int program_find(const char *name, char **ret_path, struct crs_error *err);

/* Has this process what CRIU needs, or has the program's file? *ret_unprivileged: CRIU has to be
 * told that it isn't root. No: an error that says what is missing. */
int program_check_privileges(const char *path, bool *ret_unprivileged, struct crs_error *err);

#endif
