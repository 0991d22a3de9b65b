/*
 * calls.c - remote system calls
 *
 * Each call is made with PTRACE_SYSCALL, from the stop at its entry to the stop at its exit: unlike
 * single steps and breakpoints this never raises SIGTRAP, whose disposition belongs to the program.
 * See internal.h for how the call is made harmless in a live process.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/io.h"
#include "tracee/arch/x86_64/internal.h"
#include "tracee/task.h"

#define CALL_TIME_US (30 * 1000000)
#define LOOK_TIME_US 1000000 /* after this long it is looked what keeps a call from returning */
#define BATCH_AREA   (16 << 10)
#define BATCH_CODE   256 /* bytes at the beginning of the area */
#define SYSCALL_STOP (SIGTRAP | 0x80)
#define EVENT_STOP   128
#define RED_ZONE     128 /* what a function may use below its stack pointer */

/*
 * Run r12 calls from the table at rbx, entries of 64 bytes: number, six arguments, result.
 *  1: mov (%rbx),%rax; mov 8(%rbx),%rdi; mov 16(%rbx),%rsi; mov 24(%rbx),%rdx; mov 32(%rbx),%r10;
 *     mov 40(%rbx),%r8; mov 48(%rbx),%r9; syscall; mov %rax,56(%rbx); add $64,%rbx; dec %r12;
 *     jnz 1b; int3
 */
static const uint8_t batch_code[] = {
    0x48, 0x8b, 0x03,       /* mov (%rbx),%rax */
    0x48, 0x8b, 0x7b, 0x08, /* mov 8(%rbx),%rdi */
    0x48, 0x8b, 0x73, 0x10, /* mov 16(%rbx),%rsi */
    0x48, 0x8b, 0x53, 0x18, /* mov 24(%rbx),%rdx */
    0x4c, 0x8b, 0x53, 0x20, /* mov 32(%rbx),%r10 */
    0x4c, 0x8b, 0x43, 0x28, /* mov 40(%rbx),%r8 */
    0x4c, 0x8b, 0x4b, 0x30, /* mov 48(%rbx),%r9 */
    0x0f, 0x05,             /* syscall */
    0x48, 0x89, 0x43, 0x38, /* mov %rax,56(%rbx) */
    0x48, 0x83, 0xc3, 0x40, /* add $64,%rbx */
    0x49, 0xff, 0xcc,       /* dec %r12 */
    0x75, 0xd6,             /* jnz 1b */
    0xcc,                   /* int3 */
};
_Static_assert(sizeof(struct remote_call) == 64, "a batch's entry is a remote_call");
_Static_assert(sizeof(batch_code) == 43 && sizeof(batch_code) <= BATCH_CODE, "jnz's distance");

/* ---- one stop after the other ---- */

bool calls_at_exit(pid_t tid, int64_t *ret_result)
{
    struct __ptrace_syscall_info info = {0};

    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof(info), &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_EXIT)
        return false;
    *ret_result = info.exit.rval;
    return true;
}

/* Wait for the thread's next stop. A control group may have frozen it on its way there. */
static int wait_for_call_stop(struct tracee_thread *th, int *ret_status, struct crs_error *err)
{
    uint64_t until = now_us() + CALL_TIME_US;
    int r;

    if (th->owner->stub) {
        r = tracee_wait(th->tid, 0, ret_status);
        return r < 0 ? crs_fail(err, CRS_FAILED, -r, "a call did not return: %s", strerror(-r)) : 0;
    }
    do {
        r = tracee_wait(th->tid, now_us() + LOOK_TIME_US, ret_status);
        if (r == -ETIMEDOUT && !th->owner->stub &&
            task_check_group(th->owner->pid, th->owner->proc_fd, err) < 0)
            return -EBUSY;
    } while (r == -ETIMEDOUT && now_us() < until);
    return r < 0 ? crs_fail(err, CRS_FAILED, -r, "a call did not return: %s", strerror(-r)) : 0;
}

/* A thread whose call does not return is stopped where it is, so that it can be put back. Where
 * even that fails, the frame is left to it: the thread goes back over it when it can. */
static void hold_again(struct tracee_thread *th)
{
    int status = 0;

    if (ptrace(PTRACE_INTERRUPT, th->tid, 0, 0) < 0 ||
        tracee_wait(th->tid, now_us() + LOOK_TIME_US, &status) < 0 || !WIFSTOPPED(status))
        th->owner->lost = true;
}

static int resume_with(struct tracee_thread *th, int request, int signal, int *ret_status,
                       struct crs_error *err)
{
    void (*meanwhile)(struct tracee_thread *) = th->owner->meanwhile;

    if (ptrace(request, th->tid, 0, signal) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't run a call");
    th->owner->meanwhile = NULL;
    if (meanwhile)
        meanwhile(th);
    int r = wait_for_call_stop(th, ret_status, err);
    if (r < 0) {
        hold_again(th);
        return r;
    }
    const int status = *ret_status;
    return WIFSTOPPED(status)
               ? 0
               : crs_fail(err, CRS_NOT_FOUND, ESRCH, "it was ended meanwhile (%s %d)",
                          WIFSIGNALED(status) ? "signal" : "exit code",
                          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

int calls_resume(struct tracee_thread *th, int request, int *ret_status, struct crs_error *err)
{
    return resume_with(th, request, 0, ret_status, err);
}

int calls_meet_signal(struct tracee_thread *th, int signal, struct crs_error *err)
{
    if (signal == SIGSTOP)
        th->owner->stop_arrived = true;
    else if (signal != th->owner->calls->session_signal)
        return crs_fail(err, CRS_FAILED, EFAULT, "a call met signal %d (%s)", signal,
                        strsignal(signal));
    return 0;
}

int calls_pass_on(struct tracee_thread *th, int signal, int *ret_event, struct crs_error *err)
{
    int status, r;

    for (;; signal = 0) {
        r = resume_with(th, PTRACE_SYSCALL, signal, &status, err);
        if (r < 0)
            return r;
        *ret_event = status >> 16;
        if (WSTOPSIG(status) == SYSCALL_STOP || *ret_event)
            return 0;
        r = calls_meet_signal(th, WSTOPSIG(status), err);
        if (r < 0)
            return r;
    }
}

int calls_next_stop(struct tracee_thread *th, int *ret_event, struct crs_error *err)
{
    return calls_pass_on(th, 0, ret_event, err);
}

/* Let the thread run to its next system-call stop. Group stops, and events of our own call, aren't
 * any. */
static int run_to_call_stop(struct tracee_thread *th, struct crs_error *err)
{
    int event, r;

    do
        r = calls_next_stop(th, &event, err);
    while (r == 0 && event);
    return r;
}

void calls_set(const struct tracee_thread *th, const struct remote_call *call,
               struct arch_regs *regs)
{
    struct user_regs_struct *u = &regs->user;

    u->rip = th->owner->calls->gadgets.call;
    u->orig_rax = -1;
    u->rax = call->number;
    u->rdi = call->args[0];
    u->rsi = call->args[1];
    u->rdx = call->args[2];
    u->r10 = call->args[3];
    u->r8 = call->args[4];
    u->r9 = call->args[5];
}

int calls_run_one(struct tracee_thread *th, const struct arch_regs *base, struct remote_call *call,
                  struct crs_error *err)
{
    struct arch_regs regs = *base;

    calls_set(th, call, &regs);
    int r = arch_set_regs(th->tid, &regs, err);
    /* The first stop is at the entry, unless the thread was on its way out of another call. */
    if (r == 0)
        r = run_to_call_stop(th, err);
    do {
        if (r == 0)
            r = run_to_call_stop(th, err);
    } while (r == 0 && !calls_at_exit(th->tid, &call->result));
    return r;
}

/* ---- live ---- */

int calls_block_signals(struct tracee_thread *th, struct crs_error *err)
{
    uint64_t all = ~0ULL;

    if (ptrace(PTRACE_SETSIGMASK, th->tid, sizeof(all), &all) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't block signals");
    th->owner->calls->session_signal = 0;
    return 0;
}

static int put_back(struct tracee_thread *th, struct crs_error *err)
{
    /* In this order: if the tool dies between them the frame puts everything back. */
    if (ptrace(PTRACE_SETSIGMASK, th->tid, sizeof(th->sigmask), &th->sigmask) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't put back the signal mask");
    return arch_set_regs(th->tid, &th->regs, err);
}

/* The thread that stands on the frame goes back to its own registers. */
static int end_session(struct tracee *t, struct crs_error *err)
{
    struct tracee_thread *th = t->calls ? t->calls->session : NULL;

    if (!th)
        return 0;
    t->calls->session = NULL;
    return put_back(th, err);
}

/* What the thread will stand on. Nothing has been written yet. */
static int prepare_session(struct tracee_thread *th, struct frame_bytes *ret_frame,
                           struct crs_error *err)
{
    struct arch_calls *c = th->owner->calls;
    struct arch_regs regs = th->regs;
    int r = end_session(th->owner, err);

    ret_frame->size = 0;
    if (r == 0 && c->frame_area)
        r = frame_make(th, ret_frame, (uint64_t *)&regs.user.rsp, err);
    if (r < 0)
        return r;
    regs.user.rip = c->gadgets.call;
    regs.user.rax = SYS_getpid;
    regs.user.orig_rax = -1;
    c->session_signal = 0;
    c->session_regs = regs;
    return 0;
}

/* From here until end_session() the thread stands on its frame, with all signals blocked. */
static int begin_session(struct tracee_thread *th, const struct frame_bytes *frame,
                         struct crs_error *err)
{
    struct arch_calls *c = th->owner->calls;
    int r =
        frame->size ? tracee_write(th->owner, frame->address, frame->data, frame->size, err) : 0;

    if (r < 0)
        return r;
    /* The registers lead to the frame before the mask changes. */
    c->session = th;
    r = arch_set_regs(th->tid, &c->session_regs, err);
    return r == 0 ? calls_block_signals(th, err) : r;
}

int calls_begin(struct tracee_thread *th, struct crs_error *err)
{
    struct frame_bytes frame;

    if (th->owner->calls->session == th)
        return 0;
    int r = prepare_session(th, &frame, err);
    return r < 0 ? r : begin_session(th, &frame, err);
}

/* Their stops are what takes the time; then each access to the thread. So what a chain needs is
 * written at once, with the frame. */
static int run_chains(struct tracee_thread *th, int signal, struct remote_call *calls, size_t n,
                      const struct tracee_part *block, struct crs_error *err)
{
    struct chain_memory memory = {.block = block};
    struct frame_bytes frame;
    int r = 0;

    if (th->owner->calls->session != th) {
        r = prepare_session(th, &frame, err);
        memory.frame = &frame;
    }
    for (size_t i = 0; i < n && r >= 0; i += r)
        r = chain_run(th, signal, calls + i, n - i, &memory, err);
    return r;
}

static int run_each(struct tracee_thread *th, struct remote_call *calls, size_t n,
                    const struct tracee_part *block, struct crs_error *err)
{
    struct tracee *t = th->owner;
    int r = calls_begin(th, err);

    if (r == 0 && block)
        r = tracee_write_parts(t, block, 1, err);
    for (size_t i = 0; i < n && r == 0; i++)
        r = calls_run_one(th, &t->calls->session_regs, &calls[i], err);
    return r == 0 && block ? tracee_read_parts(t, block, 1, err) : r;
}

static int run_live(struct tracee_thread *th, struct remote_call *calls, size_t n,
                    const struct tracee_part *block, struct crs_error *err)
{
    int signal = n > 1 ? chain_signal(th) : 0;
    int r =
        signal ? run_chains(th, signal, calls, n, block, err) : run_each(th, calls, n, block, err);

    if (r < 0)
        end_session(th->owner, NULL);
    return r < 0 ? r : 0;
}

int arch_calls_end(struct tracee *t, struct crs_error *err)
{
    return t->stub ? 0 : end_session(t, err);
}

bool arch_calls_overlap(const struct tracee *t, uint64_t start, uint64_t end)
{
    return t->calls && t->scratch < end && t->scratch + FRAME_AREA_SIZE > start;
}

bool arch_calls_place(const struct tracee *t, uint64_t *ret_start, size_t *ret_size)
{
    *ret_start = t->calls ? t->scratch : 0;
    *ret_size = FRAME_AREA_SIZE;
    return *ret_start != 0;
}

/*
 * A main stack that ends right below the stack pointer: the kernel makes it grow when one of its
 * own calls writes there. That one call has no frame to fall back on. Nothing is done where no
 * thread uses that stack, or its limit is reached: there is no room then, as before.
 */
static int grow_stack(struct tracee *t, struct crs_error *err)
{
    struct tracee_thread *th = tracee_main(t);
    uint64_t below = (arch_stack_pointer(&th->regs) - FRAME_GROWTH) & ~15ULL;
    struct remote_call call = {.number = SYS_getcpu, .args = {below}};

    int r = calls_block_signals(th, err);
    if (r < 0)
        return r;
    r = calls_run_one(th, &th->regs, &call, err);
    int back = put_back(th, r < 0 ? NULL : err);
    return r < 0 ? r : back;
}

/* The leader's maps are empty when it has exited. */
static int read_maps(struct tracee *t, struct bytes *ret, struct crs_error *err)
{
    char path[64];

    snprintf(path, sizeof(path), "task/%d/maps", tracee_main(t)->tid);
    int r = read_file(t->proc_fd, path, 1 << 30, ret);
    return r < 0 ? crs_fail(err, CRS_FAILED, -r, "can't read the mappings of process %d: %s",
                            t->pid, strerror(-r))
                 : 0;
}

static int find_frame_area(struct tracee *t, struct bytes *maps, uint64_t *ret,
                           struct crs_error *err)
{
    int r = frame_find_area(t, (const char *)maps->data, ret, err);

    if (r < 0 || *ret)
        return r;
    r = grow_stack(t, err);
    if (r == 0)
        r = read_maps(t, maps, err);
    if (r == 0)
        r = frame_find_area(t, (const char *)maps->data, ret, err);
    if (r == 0 && !*ret)
        return crs_fail(err, CRS_CANT_CHECKPOINT, EAGAIN,
                        "the main stack of process %d has no room of 28 KiB below its stack "
                        "pointer for the tool's calls, and can't grow",
                        t->pid);
    return r;
}

static int check_no_frame(struct tracee *t, struct crs_error *err)
{
    tracee_for_each_thread (t, th) {
        if (frame_in_use(th))
            return crs_fail(err, CRS_BUSY, EAGAIN,
                            "thread %d is on its way back from a tool that was killed: try again",
                            th->tid);
    }
    return 0;
}

int arch_calls_borrow(struct tracee *t, struct tracee *from, struct crs_error *err)
{
    uint64_t start = from->calls->frame_area, end = start + FRAME_AREA_SIZE + RED_ZONE;
    int r;

    t->calls = from->calls;
    r = check_no_frame(t, err);
    tracee_for_each_thread (t, th) {
        uint64_t sp = arch_stack_pointer(&th->regs);
        if (r == 0 && start && sp >= start && sp < end)
            r = crs_fail(err, CRS_BUSY, EAGAIN,
                         "thread %d of process %d stands in the middle of the stack of process %d: "
                         "try again",
                         th->tid, t->pid, from->pid);
    }
    if (r < 0) {
        t->calls = NULL;
        return r;
    }
    t->scratch = from->scratch;
    t->scratch_size = from->scratch_size;
    return 0;
}

int arch_calls_prepare_live(struct tracee *t, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes maps = {0};
    struct arch_calls *c = calloc(1, sizeof(*c));

    if (!c)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    t->calls = c;
    uint64_t area = 0;
    int r = read_maps(t, &maps, err);
    if (r == 0)
        r = gadgets_find(t, (char *)maps.data, &c->gadgets, err);
    if (r == 0)
        r = check_no_frame(t, err);
    if (r == 0)
        r = find_frame_area(t, &maps, &area, err);
    if (r < 0) {
        t->calls = NULL;
        free(c);
        return r;
    }
    if (c->gadgets.sigreturn || c->gadgets.pop_rax)
        c->frame_area = area;
    else /* no way back by itself: registers are used directly */
        c->frame_area = 0;
    t->scratch = area + FRAME_SCRATCH_OFFSET;
    t->scratch_size = TRACEE_SCRATCH_SIZE;
    return 0;
}

/* ---- stubs ---- */

static int run_batch(struct tracee_thread *th, struct remote_call *calls, size_t n,
                     struct crs_error *err)
{
    struct arch_calls *c = th->owner->calls;
    struct arch_regs regs = th->regs;
    int status;

    int r = tracee_write(th->owner, c->table, calls, n * sizeof(*calls), err);
    if (r < 0)
        return r;
    regs.user.rip = c->batch_code;
    regs.user.rbx = c->table;
    regs.user.r12 = n;
    regs.user.orig_rax = -1;
    r = arch_set_regs(th->tid, &regs, err);
    if (r < 0)
        return r;
    if (ptrace(PTRACE_CONT, th->tid, 0, 0) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't run a batch of calls");
    r = tracee_wait(th->tid, 0, &status);
    if (r < 0 || !WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP || status >> 16)
        return crs_fail(err, CRS_FAILED, EFAULT, "a batch of calls ended with status %#x", status);
    return tracee_read(th->owner, c->table, calls, n * sizeof(*calls), err);
}

/* Those that make threads, or end them, have stops of their own; they come alone. */
static bool can_be_in_batch(const struct remote_call *call)
{
    static const long others[] = {SYS_clone, SYS_clone3,     SYS_fork,
                                  SYS_vfork, SYS_execve,     SYS_execveat,
                                  SYS_exit,  SYS_exit_group, SYS_rt_sigreturn};

    for (size_t i = 0; i < ELEMENTS(others); i++)
        if (call->number == others[i])
            return false;
    return true;
}

static int run_stub(struct tracee_thread *th, struct remote_call *calls, size_t n,
                    struct crs_error *err)
{
    struct arch_calls *c = th->owner->calls;
    int r = 0;

    while (n > 0 && c->batch_allowed && r == 0 && can_be_in_batch(&calls[0])) {
        size_t part = n < c->table_room ? n : c->table_room;
        r = run_batch(th, calls, part, err);
        calls += part;
        n -= part;
    }
    for (size_t i = 0; i < n && r == 0; i++)
        r = calls_run_one(th, &th->regs, &calls[i], err);
    return r;
}

void arch_set_exit(const struct tracee_thread *th, struct arch_regs *ret, int code)
{
    *ret = th->regs;
    ret->user.rip = th->owner->calls->gadgets.call;
    ret->user.orig_rax = -1;
    ret->user.rax = SYS_exit;
    ret->user.rdi = code;
}

/* Make the end of the scratch block the place for batches. */
static int prepare_batch(struct tracee *t, struct crs_error *err)
{
    struct arch_calls *c = t->calls;
    uint64_t area = t->scratch + t->scratch_size - BATCH_AREA;
    struct remote_call call = {.number = SYS_mprotect,
                               .args = {area, BATCH_AREA, 7 /* read, write, execute */}};

    int r = calls_run_one(tracee_main(t), &tracee_main(t)->regs, &call, err);
    if (r < 0)
        return r;
    if (call.result < 0) /* a policy against such memory: calls are then made one by one */
        return 0;
    r = tracee_write(t, area, batch_code, sizeof(batch_code), err);
    if (r < 0)
        return r;
    c->batch_code = area;
    c->table = area + BATCH_CODE;
    c->table_room = (BATCH_AREA - BATCH_CODE) / sizeof(struct remote_call);
    c->batch_allowed = true;
    return 0;
}

int arch_calls_prepare_stub(struct tracee *t, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes maps = {0};
    struct arch_calls *c = t->calls ? t->calls : calloc(1, sizeof(*c));

    if (!c)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    t->calls = c;
    int r = read_maps(t, &maps, err);
    if (r == 0)
        r = gadgets_find(t, (char *)maps.data, &c->gadgets, err);
    if (r < 0)
        return r;
    c->gadgets.call = c->gadgets.any;
    if (!t->scratch) {
        t->scratch = (arch_stack_pointer(&tracee_main(t)->regs) - (64 << 10)) & ~4095ULL;
        t->scratch_size = 32 << 10;
    }
    if (c->batch_code && c->batch_code == t->scratch + t->scratch_size - BATCH_AREA)
        return 0; /* it is still there */
    c->batch_code = 0;
    c->batch_allowed = false;
    return t->scratch_size >= (64 << 10) ? prepare_batch(t, err) : 0;
}

int arch_calls_in_batch(struct tracee_thread *th, struct remote_call *calls, size_t n,
                        struct crs_error *err)
{
    struct tracee *t = th->owner;
    int r = tracee_prepare_calls(t, err);

    if (r == 0 && !t->calls->batch_code && t->scratch_size >= 2 * BATCH_AREA)
        r = prepare_batch(t, err);
    if (r < 0)
        return r;
    if (!t->calls->batch_allowed || n > t->calls->table_room)
        return 1;
    return run_batch(th, calls, n, err);
}

void arch_calls_batch(struct tracee *t, bool allowed)
{
    if (t->calls)
        t->calls->batch_allowed = allowed && t->calls->batch_code;
}

/* ---- both ---- */

void arch_calls_free(struct arch_calls *calls)
{
    free(calls);
}

int arch_calls_run(struct tracee_thread *th, struct remote_call *calls, size_t n,
                   const struct tracee_part *block, struct crs_error *err)
{
    if (!th->owner->stub)
        return run_live(th, calls, n, block, err);
    int r = block ? tracee_write_parts(th->owner, block, 1, err) : 0;
    if (r == 0)
        r = run_stub(th, calls, n, err);
    return r == 0 && block ? tracee_read_parts(th->owner, block, 1, err) : r;
}
