/*
 * slice.h - a processor soon, for who works little
 *
 * Who asks for short slices gets a processor soon after it is woken (from Linux 6.12 on; nothing
 * changes before). Where threads of the program keep all processors busy, each step of a request
 * would wait for the end of their slices, some milliseconds, again and again. It isn't more of the
 * processors that is asked for, and no privilege is needed.
 */
#ifndef LIBCR_SLICE_H
#define LIBCR_SLICE_H

#include <stdint.h>

/* The calling thread's slices become the shortest that there are; system calls only, errno is kept.
 * What they were, in ns, for cri_slice_restore(); 0: nothing has changed. */
uint64_t cri_slice_shorten(void);
void cri_slice_restore(uint64_t before_ns);

#endif
