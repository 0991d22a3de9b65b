/*
 * sandbox.h - programs under seccomp
 *
 * A filter judges the calls that a thread is made to run as if they were its own, and may kill it
 * for one. So a thread under seccomp is held only
 * - with the filter suspended, which takes CAP_SYS_ADMIN in the first user namespace; or
 * - where the tool lives under the very same filters (in a container, as a service): then each call
 *   is tried by a child of ours first, without being made (see rehearsal.h).
 * Any other is refused before anything is done to it.
 */
#ifndef TRACEE_SANDBOX_H
#define TRACEE_SANDBOX_H

#include <linux/filter.h>
#include "tracee/tracee.h"

/* May the threads of process `pid` be held as they are now? Nothing is done to it. */
int sandbox_check(pid_t pid, struct crs_error *err);

/* The threads of `t` stand still, and nothing has been done to them yet: see to it that calls can
 * be run in them, and that those that were interrupted go on without a call of the kernel's own
 * that a filter may not know (restart_syscall). */
int sandbox_enter(struct tracee *t, struct crs_error *err);

/* In a stub, after the last other call: let filters be installed one after the other, whatever they
 * forbid. Where that isn't allowed, nothing happens. */
void sandbox_suspend_stub(struct tracee_thread *th);

/* How many filters the calling thread lives under. */
int sandbox_own_filters(unsigned *ret_n, struct crs_error *err);

/* Filter `place` of a held thread, the oldest is 0: `code` has room for BPF_MAXINSNS. *ret_n: 0:
 * there are no more. *ret_flags: SECCOMP_FILTER_FLAG_LOG. */
int sandbox_read_filter(struct tracee_thread *th, unsigned place, struct sock_filter *code,
                        size_t *ret_n, uint32_t *ret_flags, struct crs_error *err);

#endif
