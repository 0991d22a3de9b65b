/*
 * pending_signals.h - the queues of signals that were sent and not yet delivered
 */
#ifndef KOBJ_PENDING_SIGNALS_H
#define KOBJ_PENDING_SIGNALS_H

#include <signal.h>
#include "kobj/kobj.h"

struct signal_queue {
    siginfo_t *items;
    size_t n, room;
};
void signal_queue_clear(struct signal_queue *queue);
#define _cleanup_signal_queue_ __attribute__((cleanup(signal_queue_clear)))

/* The queue of a thread, or (`shared`) of its process. */
int signal_queue_peek(struct tracee_thread *thread, bool shared, struct signal_queue *ret,
                      struct crs_error *err);

/* Is it the signal of a POSIX timer on a clock of this kind that posix_timers.c makes anew, by
 * letting the timer expire at once? CPU-time clocks can't be set to a time gone by. */
bool signal_is_of_timer(const siginfo_t *info, uint32_t timer_id);
bool clock_counts_cpu_time(int clock);

#endif
