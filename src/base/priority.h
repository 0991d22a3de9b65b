/*
 * priority.h - work that others go before
 */
#ifndef BASE_PRIORITY_H
#define BASE_PRIORITY_H

/* The calling thread, for good: the lowest priority for processors (nice 19, SCHED_BATCH) and disks
 * (best effort, 7). An ordinary user can't take it back. Threads that it starts have it, too. Not
 * SCHED_IDLE, nor the disk's class "idle": on a machine that is busy for long nothing would come of
 * it. */
void priority_lower(void);

#endif
