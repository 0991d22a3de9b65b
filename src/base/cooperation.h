/*
 * cooperation.h - what a program that takes part in its own checkpoints shares with the tool
 *
 * A library inside of the program (libcr, libcr_run, libcr_omit, ...) has one block of this form in
 * its data. The tool finds it by an ELF note (below), which works for shared and static programs.
 * Nothing else connects the two: no descriptor, no signal, no socket. The tool reads the block at
 * any time, and writes it only while the process is held; who waits for a word of it waits in
 * futex(2), and looks again when the process is let go on, because the stop interrupts the wait.
 *
 * A request, for each process in it:
 *
 *     tool     held: `owner`, the request's fields, COOPERATION_PENDING in `sections`; let go.
 *              Waits until no critical section is held.
 *     tool     held: phase = COOPERATION_RUNNER_PHASE where there is a runner; let go.
 *     library  the runner (the thread for thread-context callbacks) runs its callbacks to their
 *              barrier, cr_checkpoint(): runner = COOPERATION_ARRIVED. It may have set `abort`.
 *     tool     when all runners of the request have arrived. Held: phase =
 * COOPERATION_THREADS_PHASE, expected = N, and each of the N threads but the runner is made to run
 *              entry(address of the block), where the library says that it wants them; let go.
 *     library  each thread runs its callbacks to their barrier, and adds 1 to `arrived`.
 *     tool     when all have arrived: held, saved, let go; when the context is safe, held:
 *              outcome = COOPERATION_CONTINUE. A restart writes COOPERATION_RESTART instead.
 *              Or outcome = COOPERATION_FAILED or COOPERATION_OMITTED, with `code`, at any of the
 *              steps before.
 *     library  all go on from the barrier, to their callbacks' ends: runner = COOPERATION_FINISHED,
 *              each thread adds 1 to `finished`. Who holds others back (cr_hold_ctrl()) does it
 *              here. The last one puts everything back: outcome, phase, arrived, ... = 0, takes
 *              COOPERATION_PENDING away, adds 1 to `rounds`, and wakes those who wait for it.
 *     tool     when `rounds` has changed: done.
 *
 * Where a signal was asked for, and the outcome is COOPERATION_CONTINUE, the last one sets phase =
 * COOPERATION_SIGNAL_PHASE before it puts everything back, and waits until `signal` is 0: the tool
 * sends the signal, and writes that. So nobody goes on before it. A process that is stopped
 * couldn't put anything back: where `signal` is one that stops, it is waited for after that, by all
 * who are held; `owner` stays until then. The tool holds the process, sends it, writes 0, and lets
 * it go.
 *
 * Where there is neither a runner nor a wish for threads, the tool does the last one's work itself,
 * while the process is held. A process whose `pid` isn't its own is the child of a fork: the tool
 * takes it for one without runner and wishes.
 *
 * Should the tool die, nobody may wait for ever: the library looks every now and then whether
 * `owner` lives (0: it can't be seen; then after a minute) and gives the request up as FAILED with
 * ECANCELED.
 *
 * All words are changed by atomic operations.
 */
#ifndef BASE_COOPERATION_H
#define BASE_COOPERATION_H

#include <stdint.h>

#define COOPERATION_MAGIC   0x6b6e756853524f43ull
#define COOPERATION_VERSION 1

enum cooperation_kind {
    COOPERATION_FULL = 1, /* libcr */
    COOPERATION_RUN = 2,  /* libcr_run: takes part without callbacks */
    COOPERATION_OMIT = 3, /* libcr_omit: is left out of every request */
};

enum cooperation_phase {
    COOPERATION_IDLE = 0,
    COOPERATION_RUNNER_PHASE = 1,
    COOPERATION_THREADS_PHASE = 2,
    COOPERATION_SIGNAL_PHASE = 3, /* the library's: all is done but the signal that was asked for */
};

enum cooperation_outcome {
    COOPERATION_NONE = 0, /* wait */
    COOPERATION_CONTINUE = 1,
    COOPERATION_RESTART = 2, /* `restarter` and `source` are set */
    COOPERATION_FAILED = 3,  /* with `code`: cr_checkpoint() returns -code */
    COOPERATION_OMITTED = 4, /* likewise -CR_EOMITTED */
};

enum cooperation_runner {
    COOPERATION_NOT_RUN = 0,
    COOPERATION_ARRIVED = 1,
    COOPERATION_FINISHED = 2,
};

#define COOPERATION_PENDING 0x80000000u /* in sections: no new outermost one may be entered */

/* In flags. */
#define COOPERATION_WANTS_THREADS 0x1u /* all threads but the runner are to run entry() */
#define COOPERATION_HOLDABLE      0x2u /* it has told yama that it may be held: so does a restart */

/* In abort: the first that is set stays. How, and << 16 the code of the caller, or 0. */
#define COOPERATION_ABORT_TEMPORARY 1u /* the whole request is cancelled */
#define COOPERATION_ABORT_PERMANENT 2u /* and all its processes are killed */
#define COOPERATION_ABORT_OMIT      4u /* this process is left out */

/* In forward: a callback asks for more processes. It waits until this is ANSWERED. */
enum cooperation_forward {
    COOPERATION_FORWARD_NONE = 0,
    COOPERATION_FORWARD_ASKED = 1,
    COOPERATION_FORWARD_ANSWERED = 2,
};

#define COOPERATION_PATH 4096

struct cooperation {
    /* Set once, before magic. */
    uint64_t magic;
    uint32_t version;
    uint32_t size; /* of this struct */
    uint32_t kind;
    int32_t pid;       /* the process it was set up for, as it sees itself */
    uint64_t entry;    /* void entry(struct cooperation *, siginfo_t *, void *ucontext): run as a
                        * signal handler is; si_errno: see base/cooperation_return.h */
    uint64_t restorer; /* code that calls rt_sigreturn(2), where entry returns to */

    /* The library's. */
    int32_t runner_tid; /* as it sees itself; 0: there is no runner */
    uint32_t flags;
    uint32_t sections; /* critical sections held by all threads; and COOPERATION_PENDING */
    uint32_t abort;
    uint32_t runner; /* enum cooperation_runner */
    uint32_t arrived, finished;
    uint32_t rounds;         /* requests that came to their end */
    uint32_t callback_error; /* a callback returned something else than 0 after the outcome; stays
                                until callbacks run again */
    uint32_t forward;        /* enum cooperation_forward */
    uint32_t forward_scope;  /* CR_SCOPE_* */
    int32_t forward_target;  /* as the process sees it */
    int32_t forward_result;  /* the tool's: 0 or an error code */

    /* The tool's. */
    uint32_t phase; /* the runner waits for this word */
    uint32_t expected;
    uint32_t outcome; /* who stands at the barrier waits for this word */
    int32_t code;
    int32_t owner;             /* the tool's PID as the process sees it; 0: it doesn't */
    int32_t requester, target; /* as the process sees them; 0: it doesn't */
    uint32_t scope;            /* CR_SCOPE_* */
    int32_t signal;            /* to be sent at the end; 0: none, or it was sent */
    uint32_t restarts;         /* how often it was restarted in its life */
    int32_t restarter;         /* who asked for the last restart, as it sees itself; 0: unknown */
    char destination[COOPERATION_PATH]; /* the context file; "": it has no path */
    char source[COOPERATION_PATH];      /* where it was restarted from */
};

/*
 * The note: in a section ".note.opencrs", flags "a". Its description is 8 bytes: the distance from
 * the description to the block.
 */
#define COOPERATION_NOTE_NAME "OpenCRS"
#define COOPERATION_NOTE_TYPE 1

/* At file scope, for a block that is a global object; a static one needs __attribute__((used)),
 * since a compiler doesn't see this use of it. */
#define COOPERATION_NOTE(block)                                                                    \
    __asm__(".pushsection .note.opencrs,\"a\",@note\n"                                             \
            ".balign 4\n"                                                                          \
            ".long 8\n"                                                                            \
            ".long 8\n"                                                                            \
            ".long 1\n"                                                                            \
            ".asciz \"OpenCRS\"\n"                                                                 \
            ".quad " #block " - .\n"                                                               \
            ".popsection\n")

/*
 * At file scope: void NAME(void), fit for `restorer`. Its bytes are those by which unwinders
 * recognise a signal frame. The tool knows all of it, by its bytes, and makes use of the rest, at
 * NAME + 16: there an interrupted call that has to be made again with another timeout is made, with
 * the stack pointer at its own notes, so that no signal handler comes over them; then registers,
 * stack pointer and program counter are as if the call had just returned where it was made.
 */
#define COOPERATION_AGAIN_OFFSET 16
#define COOPERATION_RESTORER(name)                                                                 \
    void name(void) __attribute__((visibility("hidden")));                                         \
    __asm__(".pushsection .text\n"                                                                 \
            ".balign 16\n"                                                                         \
            "nop\n"                                                                                \
            ".balign 16\n"                                                                         \
            ".hidden " #name "\n"                                                                  \
            ".globl " #name "\n"                                                                   \
            ".type " #name ", @function\n" #name ":\n"                                             \
            "movq $15, %rax\n"                                                                     \
            "syscall\n"                                                                            \
            ".balign 16\n"                                                                         \
            ".cfi_startproc\n"                                                                     \
            ".cfi_signal_frame\n"                                                                  \
            ".cfi_escape 0x0f, 0x03, 0x77, 0x38, 0x06\n" /* CFA: what stands at 56(%rsp) */        \
            ".cfi_escape 0x10, 0x10, 0x02, 0x77, 0x30\n" /* %rip: likewise at 48(%rsp) */          \
            "syscall\n"                                                                            \
            "movq (%rsp), %rdi\n"                                                                  \
            "movq 8(%rsp), %rsi\n"                                                                 \
            "movq 16(%rsp), %rdx\n"                                                                \
            "movq 24(%rsp), %r10\n"                                                                \
            "movq 32(%rsp), %r8\n"                                                                 \
            "movq 40(%rsp), %r9\n"                                                                 \
            "movq 48(%rsp), %rcx\n" /* as the call itself leaves it */                             \
            "movq 56(%rsp), %rsp\n"                                                                \
            ".cfi_def_cfa %rsp, 0\n"                                                               \
            ".cfi_register %rip, %rcx\n"                                                           \
            "jmpq *%rcx\n"                                                                         \
            ".cfi_endproc\n"                                                                       \
            ".size " #name ", . - " #name "\n"                                                     \
            ".popsection\n")

#endif
