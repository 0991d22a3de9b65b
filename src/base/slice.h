/*
 * slice.h - how soon a thread gets a processor when it is woken, and who may take it away
 *
 * From Linux 6.12 on an ordinary thread may ask for slices of another length than everybody's
 * (sched_setattr(2)); nothing changes before. It isn't more or less of the processors that is asked
 * for, and no privilege is needed. With the shortest a thread gets a processor soon after it is
 * woken. With long ones those who are woken get its processor at once: it works much and waits for
 * nobody, they work little and somebody waits for them. Who works as much waits no longer for it.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdint.h>

#define SLICE_SHORTEST_NS 100000
#define SLICE_LONG_NS     3500000 /* a bit longer than anybody's, who has up to 3 ms */

/* The calling thread's, in nanoseconds; threads that it starts have it, too. What they were; 0: not
 * changed. All that this does are system calls, and errno is kept. */
uint64_t slice_change(uint64_t slice_ns);

#endif
