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

#include "base/error.h"

/* Are about 64 numbers free? Where they aren't, the limit is raised as far as it may be.
 * *ret_before: for descriptors_give_back(); 0: nothing was raised. -EMFILE. */
int descriptors_reserve(uint64_t *ret_before, struct crs_error *err);
void descriptors_give_back(uint64_t before);

/* Does this errno tell of a want of descriptors, rather than of what should have been opened? */
bool is_want_of_descriptors(int errnum);

#endif
