/*
 * descriptors.h - numbers for our own descriptors
 *
 * Where they run out in the middle of the work, what can't be opened looks as if it weren't there.
 * So there is one look before it begins.
 */
#ifndef BASE_DESCRIPTORS_H
#define BASE_DESCRIPTORS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* Are about 64 numbers free? Where they aren't, the limit is raised as far as it may be.
 * *ret_before: for descriptors_give_back(); 0: nothing was raised. -EMFILE. */
int descriptors_reserve(uint64_t *ret_before, struct crs_error *err);
void descriptors_give_back(uint64_t before);

/*
 * Let the kernel's table of our descriptors have room for n more than the usual ones, as far as the
 * hard limit goes; nobody notices where it can't. Where a process with several threads needs a
 * larger table, it waits until all processors have left the old one: 5 to 50 ms. So this is called
 * before something is stopped, and better still before there are threads.
 */
void descriptors_make_room(uint64_t n);

/* How many descriptors the process has; 0: can't be told. */
uint64_t descriptors_of(pid_t pid);

/* Does this errno tell of a want of descriptors, rather than of what should have been opened? */
bool is_want_of_descriptors(int errnum);

#endif
