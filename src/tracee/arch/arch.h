/*
 * arch.h - what depends on the processor
 *
 * One folder for each architecture implements this header; nothing outside it knows a register.
 */
#ifndef TRACEE_ARCH_ARCH_H
#define TRACEE_ARCH_ARCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>
#include "base/array.h"
#include "base/error.h"

#if !defined(__x86_64__)
#error "OpenCRS has no code for this architecture: add a folder beside tracee/arch/x86_64"
#endif

struct arch_regs {
    struct user_regs_struct user;
};

struct tracee;
struct tracee_thread;
struct remote_call;
struct arch_calls;

/* "x86_64" */
extern const char arch_name[];

/* ---- registers ---- */
int arch_get_regs(pid_t tid, struct arch_regs *ret, struct crs_error *err);
int arch_set_regs(pid_t tid, const struct arch_regs *regs, struct crs_error *err);
int arch_get_xstate(pid_t tid, struct bytes *ret, struct crs_error *err);
int arch_set_xstate(pid_t tid, const struct bytes *xstate, struct crs_error *err);
uint64_t arch_stack_pointer(const struct arch_regs *regs);
uint64_t arch_program_counter(const struct arch_regs *regs);
uint64_t arch_thread_pointer(const struct arch_regs *regs);

/*
 * A thread was stopped in a system call: set regs (for this process) and image (for a fresh one)
 * so that the call goes on without the program's noticing, waits with what was left of their
 * timeout. elapsed_us: how long it has been in the call (UINT64_MAX: not known).
 * realtime/monotonic clocks are shifted at the restart by arch_shift_deadline().
 */
int arch_fix_interrupted_call(struct tracee_thread *th, uint64_t elapsed_us, struct crs_error *err);

/* ---- remote calls ---- */
int arch_calls_prepare_live(struct tracee *t, struct crs_error *err);
int arch_calls_prepare_stub(struct tracee *t, struct crs_error *err);
void arch_calls_free(struct arch_calls *calls);
int arch_calls_run(struct tracee_thread *th, struct remote_call *calls, size_t n,
                   struct crs_error *err);
/* Put the thread's own registers and signal mask back (live only). */
int arch_calls_end(struct tracee_thread *th, struct crs_error *err);

/* ---- the processor's features ---- */

/* What a program saved here may depend on, by name ("avx512f", ...), as one line each. The
 * caller frees *ret. */
int arch_cpu_features(char ***ret, size_t *ret_n);
/* XSAVE: the components enabled (XCR0) and the size of their area. */
void arch_xsave_info(uint64_t *ret_xcr0, uint32_t *ret_size);

/* ---- vDSO ---- */

/*
 * Write jumps into `image` (the vDSO saved, at address `at`) so that each function of it goes to
 * the same function of `current` (the vDSO of this kernel, mapped at current_at).
 * -ENOEXEC when one of them isn't a vDSO, -ENOENT (with the name) when a function is missing.
 */
int arch_vdso_redirect(struct bytes *image, uint64_t at, const struct bytes *current,
                       uint64_t current_at, struct crs_error *err);

#endif
