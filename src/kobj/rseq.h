/*
 * rseq.h - restartable sequences
 *
 * A thread that is preempted inside of a restartable sequence goes on at the sequence's abort
 * handler. The kernel sees to that when it lets a thread return to where it was interrupted; but a
 * thread that makes remote calls returns elsewhere, and the kernel then forgets the sequence. So
 * kobj_rseq_abort() comes right after the freeze, before the first remote call: for the process
 * itself and for the image alike.
 */
#ifndef KOBJ_RSEQ_H
#define KOBJ_RSEQ_H

#include <stdbool.h>
#include "tracee/tracee.h"

/*
 * Where a stopped thread whose program counter is `pc` has to go on: *ret_pc is the abort handler
 * when pc lies inside of the restartable sequence that the thread has announced, else pc.
 * Reads with ptrace and memory only; no remote call.
 */
int kobj_rseq_abort_address(struct tracee_thread *thread, uint64_t pc, uint64_t *ret_pc,
                            struct crs_error *err);

/* Right after the freeze, before any remote call: set the program counters of all threads that
 * are inside of a restartable sequence, in thread->regs and thread->image. */
int kobj_rseq_abort(struct tracee *t, struct crs_error *err);

#endif
