/*
 * inject.h - a thread of a held live process is made to run a function of its own
 *
 * As a signal handler is run, but without a signal, since those may all be the program's: when the
 * process is let go the thread runs function(arg, siginfo, ucontext) on its own stack, with all
 * signals blocked, and returns to `restorer`, code that calls rt_sigreturn(2). So it comes back to
 * where it was, whether the tool lives by then or not, with registers, vector state and signal
 * mask. A system call that was interrupted is made again, with what was left of its timeout;
 * si_errno is what the kernel called that (ERESTARTSYS, ...), 0 where there was no call.
 *
 *     tracee_freeze(pid, 0, &t, err);
 *     kobj_rseq_abort(t, err);            // (tree_freeze() does both)
 *     tracee_inject(&t->threads[3], function, restorer, arg, err);
 *     tracee_thaw(t, false, err);
 *
 * The function may end the thread, or jump out of it by longjmp(3) (siglongjmp, where the mask
 * matters). Nothing of the tool waits for it, nor has it to be undone. While the process is still
 * held, calls may be made in the thread as before.
 */
#ifndef TRACEE_INJECT_H
#define TRACEE_INJECT_H

#include "tracee/tracee.h"

/*
 * -ENOTSUP: the thread has a shadow stack, or has exited. -ENOSPC: its stack has no room for the
 * frame and for the function; an alternate stack's end counts as such. -EAGAIN (CRS_BUSY): a thread
 * is still on its way back from a call of a tool that was killed. Nothing has changed then.
 * May make calls in the process, and take back what is on its undo list.
 */
int tracee_inject(struct tracee_thread *th, uint64_t function, uint64_t restorer, uint64_t arg,
                  struct crs_error *err);

#endif
