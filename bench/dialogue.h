/*
 * dialogue.h - how the programs that are measured talk with who measures: by files of a directory,
 * none of which stays open, so that they hold nothing but what they were told to
 */
#ifndef OPENCRS_BENCH_DIALOGUE_H
#define OPENCRS_BENCH_DIALOGUE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* The directory; set it first. */
extern const char *dialogue_dir;

/* Say it on standard error, with errno's words, and exit with 1. */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

int64_t clock_ns(clockid_t clock);

/* A whole number that isn't negative; anything else ends the program. */
uint64_t number_of(const char *text);

/* The path of a file of the directory. */
void path_of(char path[PATH_MAX], const char *name);

/* Add to a file of the directory. */
void append(const char *name, const char *text);

/* Make a file of the directory, which appears whole. */
void put(const char *name, const char *text);

/* Take a file of the directory away, and its first line; false when there is none. */
bool take(const char *name, char *text, size_t size);

#endif
