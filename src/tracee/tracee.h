/*
 * tracee.h - another process, held
 *
 * Purpose: hold every thread of a process with ptrace, read and change it, let it go as it was.
 *
 * Calling sequence: tracee_freeze() seizes and stops all threads. Then tracee_read/write(),
 * remote system calls, registers. tracee_thaw() undoes what was changed and lets all threads run;
 * freeing an unthawed tracee thaws it too. All from one thread of the caller: ptrace is per thread.
 *
 * The tool may be killed at any instant while it holds a program: the threads then go on as if
 * nothing had happened. A remote call in a frozen *live* process therefore runs on a signal frame
 * that restores the whole thread by rt_sigreturn if nobody takes it back (see arch.h). A *stub*,
 * the process that a restart builds up, is killed when the tool ends (PTRACE_O_EXITKILL), so its
 * remote calls use its registers directly.
 *
 * Remote system calls have two results: the return value of REMOTE() tells whether the call could
 * be run at all (0, or -errno with words), *ret is what the kernel returned (-errno in it is the
 * remote call's own failure).
 */
#ifndef TRACEE_TRACEE_H
#define TRACEE_TRACEE_H

#include <stdbool.h>
#include <sys/types.h>
#include "base/array.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "proc/status.h"
#include "tracee/arch/arch.h"

struct tracee;

struct tracee_thread {
    pid_t tid;       /* as the tracer sees it */
    pid_t inner_tid; /* as the thread itself sees it, in its PID namespace */
    struct tracee *owner;
    struct arch_regs regs;     /* what it continues with in this process after the thaw */
    struct arch_regs image;    /* what it continues with in a restarted process */
    bool repaired;             /* a call of it that gave up at the stop will be made again */
    bool guessed;              /* which call it is about to let go on is a guess */
    bool has_remaining;        /* it is in a call whose timeout the kernel keeps: */
    uint64_t remaining_ns;     /* what is left of it */
    uint64_t sigmask;          /* the blocked signals, as the program set them */
    bool exited;               /* a thread-group leader that has exited while others live */
    int exit_status;           /* of such a one: its own, as of wait(2) */
    unsigned seccomp;          /* SECCOMP_MODE_*; not of a stub */
    unsigned n_filters;        /* how many filters it is under, on kernels that tell (5.9), */
    bool filters_inherited;    /* and that they are those that the tool is under, too */
    struct bytes xstate;       /* NT_X86_XSTATE, read when it is first needed */
    struct bytes status;       /* the text of its status in /proc, likewise; not of a stub */
    struct bytes stat;         /* and of its stat, at any time in the freeze */
    struct proc_status *known; /* what the text of its status says, once it was asked for; owned */
    void *answers; /* questions.c's own, of src/kobj: one block of memory, freed with the thread */
    struct arch_waiting waiting; /* how long it was in its call when it was stopped */
};

struct tracee {
    pid_t pid;       /* thread-group ID, as the tracer sees it */
    pid_t inner_pid; /* as it sees itself */
    int pidfd;
    int task_pidfd; /* where the leader has exited: of a thread that lives; else -1 */
    int proc_fd;    /* /proc/PID, a directory; where the leader has exited /proc/TID of another */
    int mem_fd;     /* /proc/PID/mem */
    bool stub;      /* built by us: no need to survive us */
    bool frozen;
    bool group_stopped;            /* it was stopped by a signal (state T) when it was frozen */
    struct tracee_thread *threads; /* [0] is the thread-group leader */
    size_t n_threads, threads_room;
    uint64_t frozen_at_us; /* now_us() at the first interrupt */

    /* Memory in the process for arguments of remote calls, writable; contents are undone at the
     * thaw. At least TRACEE_SCRATCH_SIZE bytes. Each user may overwrite it at will between calls:
     * nothing lives there longer than one remote call. 0: none yet (see tracee_prepare_calls). */
    uint64_t scratch;
    size_t scratch_size;      /* 0: TRACEE_SCRATCH_SIZE */
    bool killed;              /* it was ended before it could be let go */
    bool lost;                /* a thread is on its way over a frame, and can't be held again */
    bool stop_arrived;        /* a SIGSTOP came while calls ran: sent again at the thaw */
    struct arch_calls *calls; /* how remote calls are made; owned, but for a sharer of memory */
    struct undo *undo;        /* the changes to take back, newest first; owned */

    /* What is done once while a thread makes the next calls, before they are waited for: for what
     * can be read of it then as well. NULL: nothing. */
    void (*meanwhile)(struct tracee_thread *th);

    /* Another held process, whose memory it shares without being a thread of it (CLONE_VM); set by
     * who holds both, before the first call. Calls of both have one place, which is the other's: at
     * most one thread of them all is in a call. It is thawed before the other, and freed after the
     * other was thawed. NULL: none. */
    struct tracee *memory_of;
    struct rehearsal
        *rehearsal; /* calls are tried here before they are made; owned; NULL: no need */
};

#define TRACEE_SCRATCH_SIZE 4096

#define tracee_for_each_thread(t, th)                                                              \
    for (struct tracee_thread *th = (t)->threads; th && th < (t)->threads + (t)->n_threads; th++)  \
        if (!th->exited)

/* May the caller hold `pid`? Errors as of tracee_freeze(), without touching the process. */
int tracee_check(pid_t pid, struct crs_error *err);

/* Is it frozen by a control group? It can't be held then: -EBUSY, in words. One that is gone: 0. */
int tracee_check_group(pid_t pid, struct crs_error *err);

/* Why PTRACE_SEIZE of a stub, a child of the caller, gave errnum, in words. */
int tracee_explain_stub(pid_t pid, int errnum, struct crs_error *err);

/* The calling thread's name (comm) while it interrupts calls that it has not repaired yet. */
#define TRACEE_INTERRUPTING "crs-interrupts"

/*
 * Seize and stop every thread of `pid`, until none is missed. Nothing is sent to it that it could
 * see. deadline_us: now_us() value at which to give up (0: 10 s from now); -ETIMEDOUT then, and the
 * process goes on. Errors: -ESRCH; -EPERM with the reason (traced by whom, other user, yama, not
 * dumpable); -EBUSY.
 */
int tracee_freeze(pid_t pid, uint64_t deadline_us, struct tracee **ret, struct crs_error *err);

/*
 * Take a stub: a child of the caller that stands in a ptrace stop after execve (made by the
 * engine). Its one thread is threads[0].
 */
int tracee_adopt_stub(pid_t pid, struct tracee **ret, struct crs_error *err);
/* The same after another execve of it: it has another memory, and starts anew. */
int tracee_renew_stub(struct tracee *t, struct crs_error *err);

/*
 * A stub whose threads have all that they need is to outlive the caller from now on: first all of
 * its threads but one, then (`last`) that one. Should the caller end in between all of it ends, for
 * a thread that is still to be killed takes the others along.
 */
int tracee_outlive(struct tracee *t, bool last, struct crs_error *err);

/* Undo every change and let all threads go on. `stopped`: leave it as by SIGSTOP. */
int tracee_thaw(struct tracee *t, bool stopped, struct crs_error *err);
void tracee_free(struct tracee *t); /* thaws if frozen */
/* It was let go, and a signal has stopped it: that takes effect when each thread has come out of
 * its stop. Wait for it, a second at most. */
void tracee_await_stop(struct tracee *t);
DEFINE_CLEANUP(struct tracee, tracee)

/* The first thread that lives: remote calls that concern the whole process go there. */
struct tracee_thread *tracee_main(struct tracee *t);

/* Its status in /proc is read again when it is next needed. */
void tracee_forget_status(struct tracee_thread *th);

/* ---- memory ---- */

/* Whole ranges; -EFAULT with the address in words. Protection of the pages does not matter. */
int tracee_read(struct tracee *t, uint64_t address, void *data, size_t size, struct crs_error *err);
int tracee_write(struct tracee *t, uint64_t address, const void *data, size_t size,
                 struct crs_error *err);

/* Several ranges at once, which is faster than one after the other. */
struct tracee_part {
    uint64_t address;
    void *data;
    size_t size;
};
#define TRACEE_PARTS_MAX 4
int tracee_read_parts(struct tracee *t, const struct tracee_part *parts, size_t n,
                      struct crs_error *err);
int tracee_write_parts(struct tracee *t, const struct tracee_part *parts, size_t n,
                       struct crs_error *err);

/* ---- remote system calls ---- */

struct remote_call {
    long number;
    uint64_t args[6];
    int64_t result; /* out */
};

/* What the first call would do first, without a call: find the instructions and the place for it,
 * and t->scratch. -EAGAIN: a thread is on its way back from a tool that was killed; try again. */
int tracee_prepare_calls(struct tracee *t, struct crs_error *err);

/* Run the calls one after the other in thread `th`, each whatever the one before it returned. */
int tracee_calls(struct tracee_thread *th, struct remote_call *calls, size_t n,
                 struct crs_error *err);
/* The same with what their arguments point to: written before the first, read after the last. */
int tracee_calls_with(struct tracee_thread *th, struct remote_call *calls, size_t n,
                      const struct tracee_part *block, struct crs_error *err);

/* One call: REMOTE(th, &result, err, SYS_fcntl, fd, F_GETFD); missing arguments are 0. */
#define REMOTE(th, ret, err, number, ...)                                                          \
    tracee_call((th), (ret), (err), (number), (const uint64_t[6]){__VA_ARGS__})
int tracee_call(struct tracee_thread *th, int64_t *ret, struct crs_error *err, long number,
                const uint64_t args[6]);

/* As REMOTE, but a failure of the remote call itself is a failure here, with the call's name
 * `what` in words: "can't set the alternate signal stack: Invalid argument". *ret may be NULL. */
int tracee_call_checked(struct tracee_thread *th, int64_t *ret, struct crs_error *err,
                        enum crs_kind kind, const char *what, long number, const uint64_t args[6]);
#define REMOTE_CHECKED(th, ret, err, kind, what, number, ...)                                      \
    tracee_call_checked((th), (ret), (err), (kind), (what), (number),                              \
                        (const uint64_t[6]){__VA_ARGS__})

/* One call with a block of memory passed by pointer in argument number `pointer_arg` (0..5):
 * `in` is copied to the scratch first and `out` is copied back after (either may be NULL). */
int tracee_call_with_block(struct tracee_thread *th, int64_t *ret, struct crs_error *err,
                           long number, const uint64_t args[6], int pointer_arg, const void *in,
                           void *out, size_t size);

/* ---- descriptors of the process ---- */

/* A duplicate of its descriptor `fd` in the caller (close-on-exec). -EBADF, -EPERM. */
int tracee_get_fd(struct tracee *t, int fd, int *ret_fd, struct crs_error *err);

/*
 * A call that makes a descriptor, which the caller gets (close-on-exec) and which the live process
 * never has: another process makes it, which shares its memory (spawn.h). -ENOTSUP: it is of a kind
 * that can't be made to.
 */
int tracee_take_fd(struct tracee *t, int *ret_fd, struct crs_error *err, const char *what,
                   long number, const uint64_t args[6]);

/* ---- undo ---- */

/* Run `undo(t, arg)` at the thaw, newest first; it frees arg. */
int tracee_undo_push(struct tracee *t, void (*undo)(struct tracee *t, void *arg), void *arg);

/* Undo everything now, newest first. Calls may be made after it again. */
int tracee_undo_all(struct tracee *t, struct crs_error *err);

/* ---- inside of this layer, and for the engine ---- */

/* Wait for thread `tid` to stop or end. deadline_us 0: for ever. -ETIMEDOUT. */
int tracee_wait(pid_t tid, uint64_t deadline_us, int *ret_status);

/* Take another thread of a stub, which stands in its first stop (made by a remote clone). */
int tracee_adopt_thread(struct tracee *t, pid_t tid, struct crs_error *err);

#endif
