/*
 * timeouts.h - what was left of timeouts, over more than one time that a process is held
 *
 * How long a thread has waited is known from when it last ran, and it runs for a moment when it is
 * let go. Who holds a process again soon notes what was left, and uses that.
 */
#ifndef TRACEE_TIMEOUTS_H
#define TRACEE_TIMEOUTS_H

#include "tracee/tracee.h"

struct tracee_timeout {
    pid_t tid;
    struct arch_regs image; /* the call that it was in */
    uint64_t remaining_ns, at_us;
};

struct tracee_timeouts {
    ARRAY_OF(struct tracee_timeout) array; /* sorted by tid */
};

void tracee_timeouts_clear(struct tracee_timeouts *timeouts);

/* t has been held for another time: threads that are in the same calls still. */
void tracee_use_timeouts(struct tracee *t, const struct tracee_timeouts *timeouts);

/* t is about to be let go: note those of now. What was noted before is replaced. 0 or -ENOMEM. */
int tracee_note_timeouts(const struct tracee *t, struct tracee_timeouts *timeouts);

#endif
