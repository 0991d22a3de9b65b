/*
 * chain.c - several calls of a live thread, one after the other, with one stop in all
 *
 * A call by itself takes two stops. So several are made on a stack of return addresses instead: of
 * instructions that load a register and return, found in the program's own text, and of values for
 * them. After each call its result is stored in memory, in the same way. The last call sends the
 * thread a signal, which stops it, since it is traced, before the signal has any effect.
 *
 * The stack ends at the thread's frame (see internal.h): left alone by a tool that was killed the
 * thread makes the rest of the calls and goes back. The signal is one that the program would never
 * know of: ignored by default, and not handled. Where the thread blocks it, to receive it in
 * another way perhaps, it is unblocked for the chain, and one that somebody else sends goes on
 * waiting. No frame is used between two calls, as rt_sigreturn would make the kernel forget a
 * timeout that it keeps for the thread.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "base/io.h"
#include "tracee/arch/x86_64/internal.h"
#include "tracee/task.h"

#define N_WORDS       (FRAME_CHAIN_SIZE / sizeof(uint64_t))
#define WORDS_A_CALL  15 /* at most, with its result */
#define WORDS_AT_END  8  /* for the call that stops it */
#define SYSCALL_BYTES 2

/* The words that the thread will find at its stack pointer, and the registers at the same time. */
struct chain {
    const struct gadgets *g;
    uint64_t words[N_WORDS];
    size_t n;
    uint64_t rdi, rsi, rdx;
};

/* Kernels ignore these, unless the program wants them. */
static const int signals[] = {SIGURG, SIGWINCH};

/* Which of them the process doesn't handle, as bits; 0 also where its threads have shadow stacks:
 * they return only to where they were called from. */
static uint64_t usable_signals(struct tracee *t)
{
    struct tracee_thread *th = tracee_main(t);
    uint64_t usable = 0;

    if (!th->status.data && task_read(t->proc_fd, th->tid, "status", &th->status) < 0)
        return 0;
    const char *text = (const char *)th->status.data;
    const char *caught = strstr(text, "\nSigCgt:\t"), *features = strstr(text, "\nx86_Thread_fea");
    if (!caught || (features && memmem(features + 1, strcspn(features + 1, "\n"), "shstk", 5)))
        return 0;
    uint64_t mask = strtoull(caught + 9, NULL, 16);
    for (size_t i = 0; i < ELEMENTS(signals); i++)
        if (!(mask >> (signals[i] - 1) & 1))
            usable |= 1ULL << (signals[i] - 1);
    return usable;
}

/* A signal that waits would stop the thread in its first call, over and over. */
static bool waits_already(struct tracee_thread *th, int signal)
{
    uint64_t waiting = 0;
    const char *text;

    if (!th->status.data && task_read(th->owner->proc_fd, th->tid, "status", &th->status) < 0)
        return true;
    text = strstr((char *)th->status.data, "\nSigPnd:\t");
    waiting |= text ? strtoull(text + 9, NULL, 16) : ~0ULL;
    text = strstr((char *)th->status.data, "\nShdPnd:\t");
    waiting |= text ? strtoull(text + 9, NULL, 16) : ~0ULL;
    return waiting >> (signal - 1) & 1;
}

int chain_signal(struct tracee_thread *th)
{
    struct tracee *t = th->owner;
    struct arch_calls *c = t->calls;
    const struct gadgets *g = &c->gadgets;

    if (!c->frame_area || t->rehearsal || th->seccomp || th->inner_tid <= 0 || !gadgets_chain(g))
        return 0;
    if (!c->signals_known)
        c->signals = usable_signals(t);
    c->signals_known = true;
    for (size_t i = 0; i < ELEMENTS(signals); i++)
        if (c->signals & ~th->sigmask & 1ULL << (signals[i] - 1))
            return signals[i];
    for (size_t i = 0; i < ELEMENTS(signals); i++)
        if (c->signals & 1ULL << (signals[i] - 1) && !waits_already(th, signals[i]))
            return signals[i];
    return 0;
}

static void add(struct chain *c, uint64_t word)
{
    c->words[c->n++] = word;
}

/* Instructions between that load another register too. */
static void load_rdx(struct chain *c, uint64_t value)
{
    add(c, c->g->pop_rdx);
    add(c, value);
    for (uint64_t i = 0; i < c->g->rdx_pops; i++)
        add(c, 0);
    c->rdx = value;
}

static void add_call(struct chain *c, long number, uint64_t rdi, uint64_t rsi, uint64_t rdx)
{
    if (rdi != c->rdi) {
        add(c, c->g->pop_rdi);
        add(c, rdi);
    }
    if (rsi != c->rsi) {
        add(c, c->g->pop_rsi);
        add(c, rsi);
    }
    if (rdx != c->rdx)
        load_rdx(c, rdx);
    c->rdi = rdi, c->rsi = rsi;
    add(c, c->g->pop_rax);
    add(c, number);
    add(c, c->g->plain);
}

/* What nothing in the text loads stays as it is from the first call on. */
static bool same_rest(const struct remote_call *a, const struct remote_call *b)
{
    return memcmp(a->args + 3, b->args + 3, 3 * sizeof(a->args[0])) == 0;
}

/* The first call's registers are set directly. The words of all others; how many calls they are of,
 * and where the results of them will be: before the words, the words end at `end`. */
static size_t build(struct chain *c, const struct tracee_thread *th, int signal,
                    const struct remote_call *calls, size_t n, uint64_t end)
{
    size_t fit = (N_WORDS - WORDS_AT_END) / WORDS_A_CALL, some = 1;
    const uint64_t results = end - FRAME_CHAIN_SIZE;

    while (some < n && some < fit && same_rest(&calls[0], &calls[some]))
        some++;
    c->rdi = calls[0].args[0], c->rsi = calls[0].args[1], c->rdx = calls[0].args[2];
    for (size_t i = 0; i < some; i++) {
        if (i > 0)
            add_call(c, calls[i].number, calls[i].args[0], calls[i].args[1], calls[i].args[2]);
        load_rdx(c, results + i * sizeof(uint64_t));
        add(c, c->g->store);
    }
    add_call(c, SYS_tkill, th->inner_tid, signal, c->rdx);
    return some;
}

/* Does the thread stand where the last call returns to? Somebody else's signal may have come. */
static bool at_end(pid_t tid, const struct gadgets *g, uint64_t end)
{
    struct arch_regs regs;

    return arch_get_regs(tid, &regs, NULL) == 0 && regs.user.rsp == end &&
           regs.user.rip == g->plain + SYSCALL_BYTES;
}

/* Did the thread send it itself? Only a chain's last call does. */
static bool is_own(const struct tracee_thread *th)
{
    siginfo_t info = {0};

    return ptrace(PTRACE_GETSIGINFO, th->tid, 0, &info) == 0 && info.si_code == SI_TKILL &&
           info.si_pid == th->owner->inner_pid;
}

/* Is it at the entry of a call that comes after the chain's others: the one that stops it, or the
 * frame's? */
static bool at_last_call(pid_t tid)
{
    struct __ptrace_syscall_info info = {0};

    return ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof(info), &info) > 0 &&
           info.op == PTRACE_SYSCALL_INFO_ENTRY &&
           (info.entry.nr == SYS_tkill || info.entry.nr == SYS_rt_sigreturn);
}

static int skip_call(struct tracee_thread *th, struct crs_error *err)
{
    struct arch_regs regs;
    int event, r = arch_get_regs(th->tid, &regs, err);

    regs.user.orig_rax = -1;
    if (r == 0)
        r = arch_set_regs(th->tid, &regs, err);
    do
        if (r == 0)
            r = calls_next_stop(th, &event, err);
    while (r == 0 && event);
    return r;
}

/* Somebody else has sent the signal, to a thread that blocks it. It is passed on, blocked: the
 * kernel puts it back among those that wait. What is left of the chain stops at each call, as
 * nothing else can stop it now. */
static int go_on_in_steps(struct tracee_thread *th, int signal, struct crs_error *err)
{
    int event, r = calls_block_signals(th, err);

    if (r == 0)
        r = calls_pass_on(th, signal, &event, err);
    while (r == 0 && (event || !at_last_call(th->tid)))
        r = calls_next_stop(th, &event, err);
    return r < 0 ? r : skip_call(th, err);
}

static int run_to_end(struct tracee_thread *th, int signal, uint64_t end, struct crs_error *err)
{
    const struct gadgets *g = &th->owner->calls->gadgets;
    const bool blocks = th->sigmask >> (signal - 1) & 1;
    int status, r;

    for (;;) {
        r = calls_resume(th, PTRACE_CONT, &status, err);
        if (r < 0)
            return r;
        if (status >> 16)
            continue; /* a group stop */
        if (WSTOPSIG(status) == signal && blocks && !is_own(th))
            return go_on_in_steps(th, signal, err);
        if (WSTOPSIG(status) == signal && at_end(th->tid, g, end))
            return 0;
        r = calls_meet_signal(th, WSTOPSIG(status), err);
        if (r < 0)
            return r;
    }
}

/* From now on until the end of the session that signal isn't blocked, and all others are. */
static int unblock(struct tracee_thread *th, int signal, struct crs_error *err)
{
    uint64_t mask = ~(1ULL << (signal - 1));

    if (th->owner->calls->session_signal == signal)
        return 0;
    if (ptrace(PTRACE_SETSIGMASK, th->tid, sizeof(mask), &mask) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't unblock a signal");
    th->owner->calls->session_signal = signal;
    return 0;
}

static void set_registers(const struct arch_calls *a, const struct remote_call *first, uint64_t sp,
                          struct arch_regs *ret)
{
    struct user_regs_struct *u = &ret->user;

    *ret = a->session_regs;
    u->rip = a->gadgets.plain;
    u->rsp = sp;
    u->orig_rax = -1;
    u->rax = first->number;
    u->rdi = first->args[0];
    u->rsi = first->args[1];
    u->rdx = first->args[2];
    u->r10 = first->args[3];
    u->r8 = first->args[4];
    u->r9 = first->args[5];
}

/* The words of the chain, before the frame; before them the results, no answers yet; and what else
 * is to be written. */
static int write_chain(struct tracee *t, const struct chain *c, uint64_t end,
                       struct chain_memory *memory, struct crs_error *err)
{
    uint64_t block[N_WORDS];
    struct tracee_part parts[3];
    size_t n = 0;

    for (size_t i = 0; i < N_WORDS - c->n; i++)
        block[i] = (uint64_t)-ENOSYS;
    memcpy(block + N_WORDS - c->n, c->words, c->n * sizeof(uint64_t));
    if (memory->frame) /* first: the chain ends a little behind its beginning */
        parts[n++] = (struct tracee_part){memory->frame->address, (void *)memory->frame->data,
                                          memory->frame->size};
    parts[n++] = (struct tracee_part){end - FRAME_CHAIN_SIZE, block, sizeof(block)};
    if (memory->block && !memory->block_written)
        parts[n++] = *memory->block;
    int r = tracee_write_parts(t, parts, n, err);
    memory->frame = r == 0 ? NULL : memory->frame;
    memory->block_written = r == 0;
    return r;
}

static int read_results(struct tracee *t, uint64_t *results, size_t n, uint64_t end,
                        const struct tracee_part *block, struct crs_error *err)
{
    struct tracee_part parts[2] = {{end - FRAME_CHAIN_SIZE, results, n * sizeof(*results)}};

    if (block)
        parts[1] = *block;
    return tracee_read_parts(t, parts, block ? 2 : 1, err);
}

int chain_run(struct tracee_thread *th, int signal, struct remote_call *calls, size_t n,
              struct chain_memory *memory, struct crs_error *err)
{
    struct arch_calls *a = th->owner->calls;
    uint64_t end = a->session_regs.user.rsp + a->gadgets.call_pops, results[N_WORDS];
    struct chain c = {.g = &a->gadgets};
    struct arch_regs regs;

    size_t some = build(&c, th, signal, calls, n, end);
    set_registers(a, calls, end - c.n * sizeof(uint64_t), &regs);
    int r = write_chain(th->owner, &c, end, memory, err);
    if (r < 0)
        return r;
    /* The registers lead to the frame before the mask changes. */
    a->session = th;
    r = arch_set_regs(th->tid, &regs, err);
    if (r == 0)
        r = unblock(th, signal, err);
    if (r == 0)
        r = run_to_end(th, signal, end, err);
    if (r == 0)
        r = read_results(th->owner, results, some, end, some == n ? memory->block : NULL, err);
    for (size_t i = 0; r == 0 && i < some; i++)
        calls[i].result = (int64_t)results[i];
    return r < 0 ? r : (int)some;
}

/* Is `word` the address of an instruction that chains return to, or of one behind it? */
static bool is_link(const struct gadgets *g, uint64_t word, uint64_t size)
{
    const uint64_t links[] = {g->pop_rdi, g->pop_rsi, g->pop_rdx, g->pop_rax, g->store, g->plain};

    for (size_t i = 0; i < ELEMENTS(links); i++)
        if (word - links[i] < size)
            return true;
    return false;
}

bool chain_in_use(struct tracee_thread *th)
{
    const struct gadgets *g = &th->owner->calls->gadgets;
    uint64_t pc = arch_program_counter(&th->regs), sp = arch_stack_pointer(&th->regs);
    uint64_t words[8];

    if (!gadgets_chain(g))
        return false;
    if (!is_link(g, pc, 8) || tracee_read(th->owner, sp, words, sizeof(words), NULL) < 0)
        return false;
    for (size_t i = 0; i < ELEMENTS(words); i++)
        if (is_link(g, words[i], 1))
            return true;
    return false;
}
