/*
 * priority.h - work that others go before
 */
#ifndef BASE_PRIORITY_H
#define BASE_PRIORITY_H

#include <stdbool.h>

/* The calling thread, for good: the lowest priority for processors (nice 19, SCHED_BATCH) and disks
 * (best effort, 7). An ordinary user can't take it back. Threads that it starts have it, too. Not
 * SCHED_IDLE, nor the disk's class "idle": on a machine that is busy for long nothing would come of
 * it. */
void priority_lower(void);

/* All processes of the caller's session together, where the kernel shares processors out among
 * sessions first (autogroup: sched(7)), so that the above counts inside of one only: behind
 * all others (nice 19) or as usual, which an ordinary user may, too. False: not now; the kernel
 * lets ordinary users do this ten times a second, all together. True where there is nothing of that
 * kind. */
bool priority_of_session(bool behind);

#endif
