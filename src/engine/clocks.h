/*
 * clocks.h - CLOCK_MONOTONIC and CLOCK_BOOTTIME go on from the saved instant
 */
#ifndef ENGINE_CLOCKS_H
#define ENGINE_CLOCKS_H

#include "base/error.h"
#include "process.pb-c.h"

/*
 * Make a time namespace for the caller's future children in which the clocks stand as in `tree`
 * (NULL: as they stand here).
 * *ret_fd is what clocks_leave() needs; NULL: the caller never leaves. -EPERM and others when it
 * can't be made, or not be left again: nothing has changed then.
 */
int clocks_enter(const Crs__Tree *tree, int *ret_fd);

/* Future children live in the caller's own time namespace again. */
void clocks_leave(int fd);

#endif
