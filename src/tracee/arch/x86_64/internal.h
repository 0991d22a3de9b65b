/*
 * internal.h - how remote calls are made on x86-64; for the files of this folder
 *
 * In a live process a call must do no harm if the tool is killed in the middle of it. So the thread
 * gets a stack on which a signal frame with its own registers lies, and runs a `syscall`
 * instruction that is followed (after a few pops) by `ret`; the return address is an rt_sigreturn
 * in the process's own code. Left alone at any instant, the thread makes the call, returns into
 * rt_sigreturn, and is where it was, with registers, vector state and signal mask. Nothing is
 * mapped for that: the instructions are found in the process's text (libc, vDSO, ...), and the
 * frame lies at the far end of the main stack, which nobody uses.
 */
#ifndef X86_64_INTERNAL_H
#define X86_64_INTERNAL_H

#include <signal.h>
#include <sys/ucontext.h>
#include "tracee/tracee.h"

/* Instructions found in the process. 0: not there. */
struct gadgets {
    uint64_t any;  /* any `syscall`: enough for a stub */
    uint64_t call; /* `syscall`, then pops of call_pops bytes, then `ret` */
    uint64_t call_pops;
    uint64_t sigreturn; /* `mov $15, %eax; syscall` */
    uint64_t pop_rax;   /* `pop %rax; ret`: with it any `syscall` is a sigreturn */
    /* For chains of calls (chain.c): */
    uint64_t plain; /* `syscall; ret` */
    uint64_t pop_rdi, pop_rsi;
    uint64_t pop_rdx, rdx_pops; /* then that many more words are popped before `ret` */
    uint64_t store;             /* `mov %rax, (%rdx); ret` */
    uint64_t searched;          /* bytes of text that were looked through */
};

/* Are all there that a chain takes? */
static inline bool gadgets_chain(const struct gadgets *g)
{
    return g->pop_rax && g->plain && g->pop_rdi && g->pop_rsi && g->pop_rdx && g->store;
}

/* What arch_calls is on this architecture. */
struct arch_calls {
    struct gadgets gadgets;
    uint64_t frame_area; /* live: in dead stack, FRAME_AREA_SIZE bytes; 0: no frame possible */
    struct tracee_thread *session; /* live: the thread that stands on its frame, or NULL, */
    struct arch_regs session_regs; /* with these registers, */
    int session_signal;            /* and this signal not blocked; 0: none */
    uint64_t signals;              /* that can stop a chain, as bits; if that is known */
    bool signals_known;
    struct arch_regs spawn_regs; /* spawn.c: those with the way over one frame more */
    uint64_t table;              /* stub: where a batch's table goes; 0: no batches */
    uint64_t batch_code;
    size_t table_room; /* calls that fit */
    bool batch_allowed;
};

/* A frame as the kernel writes one: the C library's ucontext, but with a signal mask of 8 bytes. */
struct frame {
    uint64_t return_address;
    uint64_t uc_flags;
    uint64_t uc_link;
    stack_t uc_stack;
    mcontext_t uc_mcontext;
    uint64_t uc_sigmask;
};

/* In uc_stack.ss_flags: no such flags of an alternate stack, so the kernel leaves the thread's own.
 * Whose frame it is is known by it, too: of a call, or of an injected function. */
#define FRAME_MARK          0x7eadbeefu
#define FRAME_MARK_INJECTED 0x7eadf00du

/* Layout of the frame area: the scratch block, room for pops and chains of calls, the frame, the
 * vector state. */
#define FRAME_SCRATCH_OFFSET 0
#define FRAME_WAITING_OFFSET 1024 /* in the scratch block: of calls that need none (spawn.c) */
#define FRAME_ENDING_OFFSET  2048
#define FRAME_CHAIN_SIZE     3072
#define FRAME_OFFSET         (TRACEE_SCRATCH_SIZE + FRAME_CHAIN_SIZE + 1024)
#define FRAME_XSTATE_OFFSET  (FRAME_OFFSET + 1024)
#define FRAME_AREA_SIZE      (24 << 10)
#define FRAME_GROWTH         (96 << 10) /* how far a stack without room is made to grow */

/* Find the instructions in the executable mappings of t. `maps`: the text of its maps in /proc,
 * which is as before afterwards. */
int gadgets_find(struct tracee *t, char *maps, struct gadgets *ret, struct crs_error *err);

/* Find room for frames in the main stack; *ret is 0 when there is none. */
int frame_find_area(struct tracee *t, const char *maps, uint64_t *ret, struct crs_error *err);

/* Read th's vector state, if that hasn't happened yet; then the room that it takes in a frame. */
int frame_read_xstate(struct tracee_thread *th, struct crs_error *err);
size_t frame_xstate_size(const struct tracee_thread *th);

/* The part of *f that leads to the registers `back`. */
void frame_fill_registers(const struct user_regs_struct *back, struct frame *f);

/* Fill the frame *f that leads th to the registers `back`, with its own mask and vector state. That
 * is put into `xstate`, which will be memory of the process at xstate_at, aligned to 64. */
int frame_fill(struct tracee_thread *th, const struct user_regs_struct *back, struct frame *f,
               uint8_t *xstate, size_t xstate_room, uint64_t xstate_at, struct crs_error *err);

/* Is the thread on its way back over a frame of a tool that was killed? */
bool frame_in_use(struct tracee_thread *th);

/* What is to be written, and where. */
struct frame_bytes {
    uint64_t address;
    size_t size;
    _Alignas(16) uint8_t data[FRAME_AREA_SIZE - FRAME_OFFSET];
};

/* th's frame; *ret_sp is the stack pointer to make calls with (at gadgets.call). */
int frame_make(struct tracee_thread *th, struct frame_bytes *ret, uint64_t *ret_sp,
               struct crs_error *err);

/* The thread stands on its frame: write one more at that offset of the area, which leads to a call
 * and then to th's own frame. *ret_sp as before. And where the call's first argument lies in it. */
int frame_write_call(struct tracee_thread *th, size_t offset, const struct remote_call *call,
                     uint64_t *ret_sp, struct crs_error *err);
uint64_t frame_first_argument(const struct tracee_thread *th, size_t offset);

/* ---- calls.c, for spawn.c ---- */

/* th stands on its frame, if it didn't yet. */
int calls_begin(struct tracee_thread *th, struct crs_error *err);
/* From now on none stops it but SIGSTOP. */
int calls_block_signals(struct tracee_thread *th, struct crs_error *err);
/* Let the registers lead to a call. */
void calls_set(const struct tracee_thread *th, const struct remote_call *call,
               struct arch_regs *regs);
/* Run one with the registers `base`, from wherever the thread stands. */
int calls_run_one(struct tracee_thread *th, const struct arch_regs *base, struct remote_call *call,
                  struct crs_error *err);
/* Let the thread run to its next stop at the entry or exit of a call (*ret_event 0), or of another
 * kind (PTRACE_EVENT_...). A SIGSTOP that comes is kept for the thaw. */
int calls_next_stop(struct tracee_thread *th, int *ret_event, struct crs_error *err);
/* The same, with the signal that has stopped it. */
int calls_pass_on(struct tracee_thread *th, int signal, int *ret_event, struct crs_error *err);
/* Does the thread stand at the exit of a call, and what was its result? */
bool calls_at_exit(pid_t tid, int64_t *ret_result);

/*
 * Several calls with one stop (chain.c), by the thread that stands on its frame, or is put there
 * with it. chain_signal(): the signal that will stop it; 0: none can, or something else keeps it
 * from making chains. chain_run(): how many of the calls were made, at least one, or -errno.
 */
struct chain_memory {
    const struct frame_bytes *frame; /* to be written before; NULL: it stands there */
    const struct tracee_part *block; /* what the calls work with: to be written before the first */
    bool block_written;              /* of them, and read after the last; NULL: there is none */
};
int chain_signal(struct tracee_thread *th);
int chain_run(struct tracee_thread *th, int signal, struct remote_call *calls, size_t n,
              struct chain_memory *memory, struct crs_error *err);

/* Does it look as if the thread were in a chain of a tool that was killed? Its frame lies at most
 * FRAME_CHAIN_SIZE behind its stack pointer then. */
bool chain_in_use(struct tracee_thread *th);

/* Let the thread go on by `request` (PTRACE_CONT, ...) until it stops. It has ended: -ESRCH. */
int calls_resume(struct tracee_thread *th, int request, int *ret_status, struct crs_error *err);
/* It was stopped by that signal, and goes on without it: SIGSTOP is kept for the thaw, others than
 * the one that stops chains are errors. */
int calls_meet_signal(struct tracee_thread *th, int signal, struct crs_error *err);

/*
 * The registers with which th makes the call again that its stop interrupted, with what was left of
 * its timeout; where it was in none, those that it has. What the call's arguments point to goes to
 * `notes`, to be written to notes_at. Are arguments other ones than the call had?
 */
#define CALL_NOTES_SIZE 64
bool interrupted_again(struct tracee_thread *th, struct user_regs_struct *ret, uint64_t notes_at,
                       uint8_t notes[CALL_NOTES_SIZE]);

/* th's call, whatever it was about to return, is made again, with what is left of its timeout. */
int interrupted_make_again(struct tracee_thread *th, struct crs_error *err);

/* Where those are the registers after a call that COOPERATION_RESTORER's code made again: its
 * number; else -1. */
long inject_call_number(const struct tracee_thread *th, const struct user_regs_struct *u);

/* An error number that tells the kernel to make the call again (-ERESTART...). */
static inline bool is_restart(uint64_t rax)
{
    return (int64_t)rax <= -512 && (int64_t)rax >= -516 && (int64_t)rax != -515;
}

#endif
