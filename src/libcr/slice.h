/*
 * slice.h - a processor soon, for who works little
 *
 * Who asks for short slices gets a processor soon after it is woken (base/slice.h). Where threads
 * of the program keep all processors busy, each step of a request would wait for the end of their
 * slices, some milliseconds, again and again.
 */
#ifndef LIBCR_SLICE_H
#define LIBCR_SLICE_H

#include <stdbool.h>

/* The calling thread's slices become the shortest that there are; all that slice.c does are system
 * calls, and errno is kept. False: nothing is to be restored. */
bool cri_slice_shorten(void);
/* Also in the child of a fork that a signal handler has made meanwhile. */
void cri_slice_restore(void);
/* For good, in a process that shares the caller's memory. */
void cri_slice_be_short(void);

#endif
