/*
 * stop.h - the stop that a thread was told to make (PTRACE_INTERRUPT); inside of this layer
 */
#ifndef TRACEE_STOP_H
#define TRACEE_STOP_H

#include "tracee/tracee.h"

/* 0: it stands still; 1: it has ended; -EAGAIN: not yet. Signals that come first are delivered, as
 * they would have been. */
int stop_look(struct tracee *t, pid_t tid);

/* The same, but waits for it. */
int stop_await(struct tracee *t, pid_t tid, uint64_t deadline_us, struct crs_error *err);

/* Microseconds, and not as much longer as the timer slack. */
void stop_sleep(unsigned us);

#endif
