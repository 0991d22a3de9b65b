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
struct tracee_part;
struct arch_calls;

/* "x86_64" */
extern const char arch_name[];

/* ---- registers ---- */
int arch_get_regs(pid_t tid, struct arch_regs *ret, struct crs_error *err);
int arch_set_regs(pid_t tid, const struct arch_regs *regs, struct crs_error *err);
/* The vector state, as far as its components are in use. */
int arch_get_xstate(pid_t tid, struct bytes *ret, struct crs_error *err);
/* All of the area, and what sets such a one. */
int arch_get_xstate_area(pid_t tid, struct bytes *ret, struct crs_error *err);
int arch_set_xstate_area(pid_t tid, const struct bytes *area, struct crs_error *err);
uint64_t arch_stack_pointer(const struct arch_regs *regs);
uint64_t arch_program_counter(const struct arch_regs *regs);
void arch_set_program_counter(struct arch_regs *regs,
                              uint64_t address); /* not in a call any more */
uint64_t arch_thread_pointer(const struct arch_regs *regs);
/* In a stub: registers with which the thread exits, alone, with that code. */
void arch_set_exit(const struct tracee_thread *th, struct arch_regs *ret, int code);

/*
 * System calls that the stop interrupted. Before the stop: what a thread waits in, and for how
 * long. At once after it: arch_repair_call() sees to it that a call that gave up is made again.
 * Then arch_account_timeout() makes th->regs (for this process) and th->image (for a fresh one)
 * such that the call goes on with what was left of its timeout.
 */
struct arch_waiting {
    bool known;          /* it was waiting in a system call, and for how long is known */
    uint64_t elapsed_ns; /* at the time of asking */
    uint64_t runs;       /* how often it had been given a CPU by then */
    uint64_t confirm_us; /* how long a last look at it may take here */
    char wchan[64];      /* where it sleeps in the kernel */
};
/* May a call with this number wait with a timeout? */
bool arch_call_has_timeout(long number);
/* Is what is left of its timeout known by nothing but how long it has waited? (Asking that costs
 * time.) wchan: where it sleeps. */
bool arch_call_needs_measure(long number, const uint64_t args[6], const char *wchan);
/* Does it end with EINTR when it is interrupted, although it could be made again? */
bool arch_call_gives_up(long number);
int arch_repair_call(struct tracee_thread *th, struct crs_error *err);
int arch_account_timeout(struct tracee_thread *th, const struct arch_waiting *waiting,
                         struct crs_error *err);
/*
 * io_getevents() that the stop interrupted when it had some of the events that it waits for: it
 * would return fewer than were asked for. While all threads stand still: they are put back into the
 * ring, where they still stand in it and nobody has taken any since, and the call is made again. 1:
 * so it was done; 0: there is nothing to do, or it can't be done.
 */
int arch_put_events_back(struct tracee_thread *th, struct crs_error *err);
/* Is th still in the call that it was in when its image was that one, and was let go in between? */
bool arch_is_same_call(const struct tracee_thread *th, const struct arch_regs *image);
/* A seccomp filter may not allow restart_syscall, by which the kernel would let a call go on whose
 * timeout it keeps: the call is made again instead, with what is left. After the one above. */
int arch_avoid_restart(struct tracee_thread *th, struct crs_error *err);
/*
 * In a stub: make the kernel hold the timeout of the call that `regs` is in, with remaining_ns
 * left: the call is started and interrupted, so that `regs`, when set as they are, go on with it.
 * May change regs, when the call ended at once.
 */
int arch_resume_timeout(struct tracee_thread *th, struct arch_regs *regs, uint64_t remaining_ns,
                        struct crs_error *err);
/*
 * The call that `regs` will make again has an absolute deadline on a clock that was shifted:
 * fill `deadline` (a timespec, 16 bytes) from it, and tell where to write the shifted one:
 * *ret_address, which regs then point to. 0: nothing to do.
 */
int arch_shift_deadline(struct tracee_thread *th, struct arch_regs *regs, int64_t shift_ns,
                        struct crs_error *err);

/* ---- remote calls ---- */
int arch_calls_prepare_live(struct tracee *t, struct crs_error *err);
/* The place of another's calls, whose memory it shares, for its own too. */
int arch_calls_borrow(struct tracee *t, struct tracee *from, struct crs_error *err);
int arch_calls_prepare_stub(struct tracee *t, struct crs_error *err);
void arch_calls_free(struct arch_calls *calls);
/* One call, or several in a batch where the stub can. The stub's batch needs t->scratch_size of
 * 64 KiB; arch_calls_batch(t, false) ends batches (they disturb SIGTRAP's disposition). */
void arch_calls_batch(struct tracee *t, bool allowed);
/* Calls of a stub in one batch, for sure: also such as make threads that nobody is told of. It
 * needs t->scratch_size of 32 KiB, the last 16 of them for the batch. 1: no batches can be made
 * here. */
int arch_calls_in_batch(struct tracee_thread *th, struct remote_call *calls, size_t n,
                        struct crs_error *err);
/* Put the registers and the signal mask of the thread that made the last call back (live). Calls do
 * not do it themselves, since the next one is often made in the same thread. */
int arch_calls_end(struct tracee *t, struct crs_error *err);
/* Does the place of live calls, and so what will be put back there, lie between these addresses? */
bool arch_calls_overlap(const struct tracee *t, uint64_t start, uint64_t end);
/* That place, now. False: nothing was put there. */
bool arch_calls_place(const struct tracee *t, uint64_t *ret_start, size_t *ret_size);
int arch_calls_run(struct tracee_thread *th, struct remote_call *calls, size_t n,
                   const struct tracee_part *block, struct crs_error *err);
/*
 * A live process makes another one (spawn.h), which shares its memory and its descriptors, and
 * stands in its first stop, held by us. Until it has ended th stands still. Left alone at any
 * instant it ends, and th waits for its end before it goes back to where it was. *ret_pid as we see
 * it.
 */
int arch_spawn(struct tracee_thread *th, pid_t *ret_pid, struct crs_error *err);
/* It has ended: th has seen that. */
int arch_spawn_ended(struct tracee_thread *th, struct crs_error *err);
/* That process makes another one, in the same way, with these flags of clone(2): it need not see
 * its end. */
int arch_spawn_from(struct tracee_thread *th, unsigned long flags, pid_t *ret_pid,
                    struct crs_error *err);
/* A process made so: calls in it are made as in `from`, but with its own registers. */
int arch_spawn_adopt(struct tracee *t, const struct tracee *from, struct crs_error *err);

/* ---- functions of its own that a thread is made to run (inject.h) ---- */

/* How many bytes below th's stack pointer the frame takes; 0 with words in err: it can't be told.
 */
size_t arch_injection_size(struct tracee_thread *th, struct crs_error *err);
/* Write it, and let th's registers lead to the function. */
int arch_inject(struct tracee_thread *th, uint64_t function, uint64_t restorer, uint64_t arg,
                struct crs_error *err);

/* ---- the processor's features ---- */

/* What a program saved here may depend on, by name ("avx512f", ...), as one line each. The
 * caller frees *ret. */
int arch_cpu_features(char ***ret, size_t *ret_n);
/* XSAVE: the components enabled (XCR0) and the size of their area. */
void arch_xsave_info(uint64_t *ret_xcr0, uint32_t *ret_size);

#define ARCH_XSTATE_PARTS 63

/* Where the components of the vector state lie in an area, by their bit in XCR0, from 2 on. */
struct arch_xstate_layout {
    uint64_t xcr0;
    uint32_t size; /* of the whole area */
    struct {
        uint32_t offset, size; /* 0: not there */
    } parts[ARCH_XSTATE_PARTS];
};

/* This processor's. */
void arch_xstate_layout(struct arch_xstate_layout *ret);
/* Has the thread, by its vector state, other rights by memory protection keys than a new one? */
bool arch_has_key_rights(const struct bytes *xstate);
/* The components of `saved_xcr0` that this processor lacks. */
uint64_t arch_xstate_lacking(uint64_t saved_xcr0);
/* Fill `area`, which a thread of this machine has now, with what was saved on another processor.
 * CRS_CANT_RESTART where components in use have no place in it. */
int arch_xstate_convert(const struct bytes *saved, const struct arch_xstate_layout *from,
                        const struct arch_xstate_layout *to, struct bytes *area,
                        struct crs_error *err);
/* The same of a whole area: how much of it, at least 576 bytes, has components in use. */
size_t arch_xstate_used_size(const struct bytes *area);
/*
 * Set a state that was saved with the layout `from`. `*room` is an area to put it together in:
 * empty for the first thread, then for all others of the same process.
 */
int arch_set_xstate_from(pid_t tid, const struct bytes *saved,
                         const struct arch_xstate_layout *from, struct bytes *room,
                         struct crs_error *err);

/* The parts, by their bit in XCR0, that th's process has asked its kernel for; 0: none. */
int arch_xstate_permitted(struct tracee_thread *th, uint64_t *ret, struct crs_error *err);
/* In a stub: ask for them, before registers are set. CRS_CANT_RESTART. */
int arch_xstate_permit(struct tracee_thread *th, uint64_t parts, struct crs_error *err);
/* Then, while calls may be run in batches: let the kernel make room in `th` for those of the parts
 * that are in use in `xstate`. */
int arch_xstate_make_room(struct tracee_thread *th, const struct bytes *xstate, uint64_t parts,
                          struct crs_error *err);

/* ---- vDSO ---- */

/*
 * Write jumps into `image` (the vDSO saved, at address `at`) so that each function of it goes to
 * the same function of `current` (the vDSO of this kernel, mapped at current_at).
 * -ENOEXEC when one of them isn't a vDSO, -ENOENT (with the name) when a function is missing.
 */
int arch_vdso_redirect(struct bytes *image, uint64_t at, const struct bytes *current,
                       uint64_t current_at, struct crs_error *err);

#endif
