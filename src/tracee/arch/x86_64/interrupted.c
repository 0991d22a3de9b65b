/*
 * interrupted.c - system calls that the stop interrupted
 *
 * The kernel answers an interrupted call in one of three ways (measured, docs/architecture.md):
 *
 *   -512, -513, -514  it will make the call again by itself; so will a fresh process that gets the
 *                     same registers.
 *   -516              it keeps the timeout inside and goes on by restart_syscall; a fresh process
 *                     would give EINTR. There the call is started anew with what is left and
 *                     interrupted (arch_resume_timeout), so that its kernel holds the timeout.
 *   -EINTR            epoll_wait and some others give up: the program would see EINTR at each
 *                     checkpoint. They get -514 and what is left of the timeout as argument.
 */
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/io.h"
#include "tracee/arch/x86_64/internal.h"

#define RESTART_NO_HAND -514
#define RESTART_BLOCK   -516

/* Waiting a little longer than asked is allowed, shorter is not: the measure is a tick off. */
#define MEASURE_MARGIN_NS 4000000

/* Below the red zone: where a changed timespec stands until the call has read it. */
#define BELOW_RED_ZONE 144

enum timeout_kind {
    TIMEOUT_NONE,
    TIMEOUT_MS,       /* an int, in ms; negative: for ever */
    TIMEOUT_TIMESPEC, /* a pointer; NULL: for ever */
    TIMEOUT_URING,    /* struct uring_wait, where the flags say so */
};

struct waiting_call {
    long number;
    enum timeout_kind kind;
    int arg;          /* the timeout's argument */
    bool gives_eintr; /* when interrupted, although it could be made again */
};

static const struct waiting_call waiting_calls[] = {
    {SYS_nanosleep, TIMEOUT_TIMESPEC, 0, false},
    {SYS_clock_nanosleep, TIMEOUT_TIMESPEC, 2, false},
    {SYS_poll, TIMEOUT_MS, 2, false},
    {SYS_futex, TIMEOUT_TIMESPEC, 3, false},
    {SYS_restart_syscall, TIMEOUT_NONE, 0, false},
    {SYS_epoll_wait, TIMEOUT_MS, 3, true},
    {SYS_epoll_pwait, TIMEOUT_MS, 3, true},
    {SYS_epoll_pwait2, TIMEOUT_TIMESPEC, 3, true},
    {SYS_rt_sigtimedwait, TIMEOUT_TIMESPEC, 2, true},
    {SYS_semtimedop, TIMEOUT_TIMESPEC, 3, true},
    {SYS_io_getevents, TIMEOUT_TIMESPEC, 4, true},
    {SYS_io_pgetevents, TIMEOUT_TIMESPEC, 4, true},
    {SYS_recvmmsg, TIMEOUT_TIMESPEC, 4, true},
    {SYS_semop, TIMEOUT_NONE, 0, true},
    {SYS_read, TIMEOUT_NONE, 0, true}, /* sockets with SO_RCVTIMEO, some devices */
    {SYS_readv, TIMEOUT_NONE, 0, true},
    {SYS_recvfrom, TIMEOUT_NONE, 0, true},
    {SYS_recvmsg, TIMEOUT_NONE, 0, true},
    {SYS_accept, TIMEOUT_NONE, 0, true},
    {SYS_accept4, TIMEOUT_NONE, 0, true},
    {SYS_write, TIMEOUT_NONE, 0, true}, /* SO_SNDTIMEO */
    {SYS_writev, TIMEOUT_NONE, 0, true},
    {SYS_sendto, TIMEOUT_NONE, 0, true},
    {SYS_sendmsg, TIMEOUT_NONE, 0, true},
    {SYS_io_uring_enter, TIMEOUT_URING, 4, true},
};

static const struct waiting_call *find_call(long number)
{
    for (size_t i = 0; i < ELEMENTS(waiting_calls); i++)
        if (waiting_calls[i].number == number)
            return &waiting_calls[i];
    return NULL;
}

bool arch_call_has_timeout(long number)
{
    const struct waiting_call *call = find_call(number);

    return call && (call->kind != TIMEOUT_NONE || number == SYS_restart_syscall);
}

/* Which call it is that restart_syscall lets go on, by where it sleeps. -1: not to be told. */
static long restarted_by_place(const char *wchan, uint64_t first_arg)
{
    if (strstr(wchan, "futex"))
        return SYS_futex;
    if (strstr(wchan, "poll"))
        return SYS_poll;
    if (!strstr(wchan, "nanosleep"))
        return -1;
    /* The first argument: a clock's number, or a pointer. */
    return first_arg < 64 || (int64_t)first_arg < 0 ? SYS_clock_nanosleep : SYS_nanosleep;
}

/* A timeout that is no absolute one, and whose rest the kernel doesn't write anywhere. */
static bool is_measured_timespec(const struct waiting_call *call, const uint64_t args[6])
{
    if (args[call->arg] == 0)
        return false;
    if (call->number == SYS_futex) /* FUTEX_WAIT's is relative, FUTEX_WAIT_BITSET's absolute */
        return (args[1] & 0x7f) == 0;
    if (call->number == SYS_nanosleep)
        return args[1] == 0;
    if (call->number == SYS_clock_nanosleep)
        return !(args[1] & TIMER_ABSTIME) && args[3] == 0;
    return true;
}

bool arch_call_needs_measure(long number, const uint64_t args[6], const char *wchan)
{
    const struct waiting_call *call;

    if (number == SYS_restart_syscall)
        number = restarted_by_place(wchan, args[0]);
    call = find_call(number);
    if (number >= 0 && !call)
        return false;
    if (call && call->kind == TIMEOUT_MS)
        return (int)args[call->arg] > 0;
    return !call || call->kind != TIMEOUT_TIMESPEC || is_measured_timespec(call, args);
}

bool arch_call_gives_up(long number)
{
    const struct waiting_call *call = find_call(number);

    return call && call->gives_eintr;
}

static unsigned long long *argument(struct user_regs_struct *u, int n)
{
    unsigned long long *const args[] = {&u->rdi, &u->rsi, &u->rdx, &u->r10, &u->r8, &u->r9};

    return args[n];
}

static bool read_timespec(struct tracee *t, uint64_t address, uint64_t *ret_ns)
{
    struct timespec ts;

    if (!address || tracee_read(t, address, &ts, sizeof(ts), NULL) < 0 || ts.tv_sec < 0)
        return false;
    *ret_ns = ts.tv_sec > 9000000000 ? INT64_MAX : (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
    return true;
}

static uint64_t left_of(uint64_t timeout_ns, const struct arch_waiting *waiting)
{
    uint64_t elapsed = waiting->known && waiting->elapsed_ns > MEASURE_MARGIN_NS
                           ? waiting->elapsed_ns - MEASURE_MARGIN_NS
                           : 0;

    return timeout_ns > elapsed ? timeout_ns - elapsed : 0;
}

/* ---- the timeout of io_uring_enter ---- */

#define URING_EXT_ARG     (1u << 3)
#define URING_ABS_TIMER   (1u << 5)
#define URING_EXT_ARG_REG (1u << 6) /* in memory that is registered with the ring */
#define BELOW_URING_WAIT  (BELOW_RED_ZONE + sizeof(struct uring_wait))

/* As of struct io_uring_getevents_arg. */
struct uring_wait {
    uint64_t signal_mask;
    uint32_t signal_mask_size, min_wait_us;
    uint64_t timespec; /* 0: for ever */
};

/* What is put below the red zone in their place. */
struct uring_wait_block {
    struct timespec timespec;
    struct uring_wait wait;
};

static bool read_uring_wait(struct tracee_thread *th, const struct user_regs_struct *u,
                            struct uring_wait *ret, uint64_t *ret_ns)
{
    return (u->r10 & URING_EXT_ARG) && !(u->r10 & URING_EXT_ARG_REG) && u->r9 >= sizeof(*ret) &&
           tracee_read(th->owner, u->r8, ret, sizeof(*ret), NULL) == 0 &&
           read_timespec(th->owner, ret->timespec, ret_ns);
}

static int put_uring_wait(struct tracee_thread *th, struct user_regs_struct *u,
                          const struct uring_wait *wait, uint64_t ns, struct crs_error *err)
{
    uint64_t place = (u->rsp - BELOW_URING_WAIT) & ~7ULL;
    struct uring_wait_block block = {.timespec = {ns / 1000000000, ns % 1000000000}, .wait = *wait};

    block.wait.timespec = place + offsetof(struct uring_wait_block, timespec);
    int r = tracee_write(th->owner, place, &block, sizeof(block), err);
    if (r == 0)
        u->r8 = place + offsetof(struct uring_wait_block, wait);
    return r;
}

/* ---- calls that would give EINTR ---- */

/* Let an argument of the call point to that time. */
static int put_timespec(struct tracee_thread *th, unsigned long long *arg, uint64_t ns,
                        struct crs_error *err)
{
    struct timespec ts = {ns / 1000000000, ns % 1000000000};
    uint64_t place = (th->regs.user.rsp - BELOW_RED_ZONE) & ~7ULL;
    int r = tracee_write(th->owner, place, &ts, sizeof(ts), err);

    if (r == 0)
        *arg = place;
    return r;
}

/* Put what is left in the place of the timeout, for the call that will be made again. */
static int shorten_timeout(struct tracee_thread *th, const struct waiting_call *call,
                           const struct arch_waiting *waiting, struct crs_error *err)
{
    struct user_regs_struct *u = &th->regs.user;
    unsigned long long *arg = argument(u, call->arg);
    uint64_t ns;

    struct uring_wait wait;

    if (!waiting->known)
        return 0;
    if (call->kind == TIMEOUT_URING)
        return (u->r10 & URING_ABS_TIMER) || !read_uring_wait(th, u, &wait, &ns)
                   ? 0
                   : put_uring_wait(th, u, &wait, left_of(ns, waiting), err);
    if (call->kind == TIMEOUT_MS && (int)*arg > 0)
        *arg = (left_of((uint64_t)(int)*arg * 1000000, waiting) + 999999) / 1000000;
    if (call->kind != TIMEOUT_TIMESPEC || !read_timespec(th->owner, *arg, &ns))
        return 0;
    return put_timespec(th, arg, left_of(ns, waiting), err);
}

static bool gave_up(const struct user_regs_struct *u)
{
    return (int64_t)u->orig_rax >= 0 && (int64_t)u->rax == -EINTR &&
           arch_call_gives_up(u->orig_rax);
}

static int repair(struct tracee_thread *th, struct crs_error *err)
{
    th->repaired = true;
    th->regs.user.rax = RESTART_NO_HAND;
    return arch_set_regs(th->tid, &th->regs, err);
}

int arch_repair_call(struct tracee_thread *th, struct crs_error *err)
{
    th->repaired = false;
    return gave_up(&th->regs.user) ? repair(th, err) : 0;
}

/* ---- calls whose timeout the kernel keeps ---- */

static bool is_timespec(struct tracee *t, uint64_t address)
{
    struct timespec ts;

    return address >= 0x10000 && tracee_read(t, address, &ts, sizeof(ts), NULL) == 0 &&
           ts.tv_sec >= 0 && ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000;
}

/* The last resort, for a thread that never sleeps when it is looked at and has got the number from
 * elsewhere, as by syscall(3): of the few calls whose timeout the kernel keeps, that which the
 * arguments are fit for. */
static long guess_by_arguments(struct tracee_thread *th, const struct user_regs_struct *u)
{
    const bool has_ms = u->rdx > 0 && u->rdx <= INT32_MAX;
    const uint64_t futex_op = u->rsi & ~0x180ULL; /* of one's own, by the clock of the day */

    if ((int32_t)u->rdi < 16 && (u->rdi < 16 || (int64_t)u->rdi < 0))
        return is_timespec(th->owner, u->rdx) ? SYS_clock_nanosleep : has_ms ? SYS_poll : -1;
    if ((futex_op == 0 || futex_op == 9) && u->rdi % 4 == 0 && is_timespec(th->owner, u->r10))
        return SYS_futex;
    if ((u->rsi == 0 || u->rsi >= 0x10000) && is_timespec(th->owner, u->rdi))
        return SYS_nanosleep;
    return u->rsi < 0x10000 && has_ms ? SYS_poll : -1;
}

/* The call that restart_syscall stands for: from the code before it, else from where it sleeps. */
static long resolve_restarted(struct tracee_thread *th, const struct arch_waiting *waiting)
{
    const struct user_regs_struct *u = &th->image.user;
    uint8_t code[7];
    uint32_t number;
    long injected = inject_call_number(th, u);

    if (find_call(injected))
        return injected;

    if (tracee_read(th->owner, u->rip - sizeof(code), code, sizeof(code), NULL) == 0 &&
        code[0] == 0xb8) { /* mov $number, %eax; syscall */
        memcpy(&number, code + 1, sizeof(number));
        if (find_call(number) && number != SYS_restart_syscall)
            return number;
    }
    long asleep_in = restarted_by_place(waiting->wchan, u->rdi);
    if (asleep_in >= 0)
        return asleep_in;
    th->guessed = true;
    return guess_by_arguments(th, u);
}

static bool timeout_left(struct tracee_thread *th, long number, const struct arch_waiting *waiting,
                         uint64_t *ret_ns)
{
    struct user_regs_struct *u = &th->regs.user;
    uint64_t ns;

    switch (number) {
    case SYS_nanosleep: /* with a second argument the kernel has written the rest there */
        if (u->rsi)
            return read_timespec(th->owner, u->rsi, ret_ns);
        if (!read_timespec(th->owner, u->rdi, &ns))
            return false;
        break;
    case SYS_clock_nanosleep:
        if (u->r10)
            return read_timespec(th->owner, u->r10, ret_ns);
        if (!read_timespec(th->owner, u->rdx, &ns))
            return false;
        break;
    case SYS_poll:
        if ((int)u->rdx < 0)
            return false;
        ns = (uint64_t)(int)u->rdx * 1000000;
        break;
    case SYS_futex: /* FUTEX_WAIT's is relative, FUTEX_WAIT_BITSET's absolute */
        if ((u->rsi & 0x7f) != 0 || !read_timespec(th->owner, u->r10, &ns))
            return false;
        break;
    default:
        return false;
    }
    *ret_ns = left_of(ns, waiting);
    return true;
}

static void keep_timeout(struct tracee_thread *th, const struct arch_waiting *waiting)
{
    struct user_regs_struct *image = &th->image.user;
    long number = image->orig_rax;

    if (number == SYS_restart_syscall)
        number = resolve_restarted(th, waiting);
    if (number < 0) {
        image->rax = -EINTR;
        image->orig_rax = -1;
        return;
    }
    image->orig_rax = number;
    if (timeout_left(th, number, waiting, &th->remaining_ns))
        th->has_remaining = true;
    else
        image->rax = RESTART_NO_HAND;
}

/* It was stopped and let go just before, and is about to let its call go on by restart_syscall.
 * That works only where the kernel has kept the timeout: the image is as if it were in the call. */
static bool is_about_to_restart(struct tracee_thread *th)
{
    const struct user_regs_struct *u = &th->regs.user;
    uint8_t code[2];

    return (int64_t)u->orig_rax < 0 && u->rax == SYS_restart_syscall &&
           tracee_read(th->owner, u->rip, code, sizeof(code), NULL) == 0 && code[0] == 0x0f &&
           code[1] == 0x05;
}

int arch_account_timeout(struct tracee_thread *th, const struct arch_waiting *waiting,
                         struct crs_error *err)
{
    struct user_regs_struct *u = &th->regs.user;
    int r = 0;

    th->has_remaining = th->guessed = false;
    if (th->repaired) {
        r = shorten_timeout(th, find_call(u->orig_rax), waiting, err);
        if (r == 0)
            r = arch_set_regs(th->tid, &th->regs, err);
    }
    th->image = th->regs;
    if (is_about_to_restart(th)) {
        th->image.user.rip += 2;
        th->image.user.orig_rax = SYS_restart_syscall;
        th->image.user.rax = RESTART_BLOCK;
        keep_timeout(th, waiting);
    } else if ((int64_t)u->orig_rax >= 0 && (int64_t)u->rax == RESTART_BLOCK) {
        keep_timeout(th, waiting);
    }
    return r;
}

int interrupted_make_again(struct tracee_thread *th, struct crs_error *err)
{
    int r = repair(th, err);

    return r < 0 ? r : arch_account_timeout(th, &th->waiting, err);
}

/* The kernel has let it go on by restart_syscall: then it is the one that was interrupted last. */
bool arch_is_same_call(const struct tracee_thread *th, const struct arch_regs *image)
{
    const struct user_regs_struct *now = &th->regs.user, *a = &th->image.user, *b = &image->user;
    bool goes_on = now->orig_rax == SYS_restart_syscall ||
                   ((int64_t)now->orig_rax < 0 && now->rax == SYS_restart_syscall);

    return goes_on && a->orig_rax == b->orig_rax && a->rip == b->rip && a->rsp == b->rsp &&
           a->rdi == b->rdi && a->rsi == b->rsi && a->rdx == b->rdx && a->r10 == b->r10 &&
           a->r8 == b->r8 && a->r9 == b->r9;
}

int arch_avoid_restart(struct tracee_thread *th, struct crs_error *err)
{
    struct user_regs_struct *u = &th->regs.user;
    const struct waiting_call *call = find_call(th->image.user.orig_rax);
    uint64_t ns = th->remaining_ns;
    int r = 0;

    if ((int64_t)u->orig_rax < 0 || (int64_t)u->rax != RESTART_BLOCK || !call)
        return 0;
    if (th->has_remaining && call->kind == TIMEOUT_MS)
        *argument(u, call->arg) = (ns + 999999) / 1000000;
    if (th->has_remaining && call->kind == TIMEOUT_TIMESPEC)
        r = put_timespec(th, argument(u, call->arg), ns, err);
    u->orig_rax = call->number;
    u->rax = RESTART_NO_HAND;
    th->image = th->regs;
    th->has_remaining = false;
    return r < 0 ? r : arch_set_regs(th->tid, &th->regs, err);
}

/* ---- made again by a signal frame ---- */

/* What arch_account_timeout() has put below the stack pointer is copied, so that the call finds it
 * at `at`. 0 when there is nothing of that. */
static size_t move_notes(struct tracee_thread *th, struct user_regs_struct *u,
                         const struct waiting_call *call, uint64_t at, uint8_t *notes)
{
    unsigned long long *arg = argument(u, call->arg);
    struct uring_wait_block block;

    if (call->kind == TIMEOUT_TIMESPEC && *arg == ((u->rsp - BELOW_RED_ZONE) & ~7ULL) &&
        tracee_read(th->owner, *arg, notes, sizeof(struct timespec), NULL) == 0) {
        *arg = at;
        return sizeof(struct timespec);
    }
    uint64_t place = (u->rsp - BELOW_URING_WAIT) & ~7ULL;
    if (call->kind != TIMEOUT_URING || u->r8 != place + offsetof(struct uring_wait_block, wait) ||
        tracee_read(th->owner, place, &block, sizeof(block), NULL) < 0)
        return 0;
    block.wait.timespec = at + offsetof(struct uring_wait_block, timespec);
    memcpy(notes, &block, sizeof(block));
    u->r8 = at + offsetof(struct uring_wait_block, wait);
    return sizeof(block);
}

bool interrupted_again(struct tracee_thread *th, struct user_regs_struct *u, uint64_t notes_at,
                       uint8_t notes[CALL_NOTES_SIZE])
{
    const struct waiting_call *call;
    bool changed = false;

    _Static_assert(sizeof(struct uring_wait_block) <= CALL_NOTES_SIZE, "room for either");
    *u = th->image.user;
    if ((int64_t)u->orig_rax < 0 || !is_restart(u->rax))
        return false;
    call = find_call(u->orig_rax);
    if (call && th->has_remaining && call->kind == TIMEOUT_MS) {
        *argument(u, call->arg) = (th->remaining_ns + 999999) / 1000000;
        changed = true;
    } else if (call && th->has_remaining && call->kind == TIMEOUT_TIMESPEC) {
        struct timespec ts = {th->remaining_ns / 1000000000, th->remaining_ns % 1000000000};
        memcpy(notes, &ts, sizeof(ts));
        *argument(u, call->arg) = notes_at;
        changed = true;
    } else if (call && th->repaired) {
        changed = move_notes(th, u, call, notes_at, notes) > 0;
    }
    u->rax = u->orig_rax;
    u->rip -= 2;
    return changed;
}

/* ---- in a stub ---- */

/* The arguments of the call, with `remaining_ns` in the scratch block as its timeout. */
static int remaining_arguments(struct tracee_thread *th, struct user_regs_struct *u,
                               uint64_t remaining_ns, struct crs_error *err)
{
    struct timespec ts = {remaining_ns / 1000000000, remaining_ns % 1000000000};
    const struct waiting_call *call = find_call(u->orig_rax);

    if (call->kind == TIMEOUT_MS) {
        *argument(u, call->arg) = (remaining_ns + 999999) / 1000000;
        return 0;
    }
    *argument(u, call->arg) = th->owner->scratch;
    return tracee_write(th->owner, th->owner->scratch, &ts, sizeof(ts), err);
}

int arch_resume_timeout(struct tracee_thread *th, struct arch_regs *regs, uint64_t remaining_ns,
                        struct crs_error *err)
{
    struct arch_regs with = *regs;
    struct user_regs_struct *u = &with.user;
    int status;

    if ((int64_t)u->rax != RESTART_BLOCK || !find_call(u->orig_rax))
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "thread %d has a timeout but is in no call that has one (%lld)", th->tid,
                        (long long)u->orig_rax);
    int r = remaining_arguments(th, u, remaining_ns, err);
    if (r < 0)
        return r;
    u->rax = u->orig_rax;
    u->orig_rax = -1;
    u->rip = th->owner->calls->gadgets.call;
    r = arch_set_regs(th->tid, &with, err);
    /* The entry; then the call runs with an interruption waiting for it. */
    for (int stop = 0; stop < 2 && r == 0; stop++) {
        if ((stop == 1 && ptrace(PTRACE_INTERRUPT, th->tid, 0, 0) < 0) ||
            ptrace(PTRACE_SYSCALL, th->tid, 0, 0) < 0)
            return crs_fail_errno(err, CRS_FAILED, "can't resume a call of thread %d", th->tid);
        r = tracee_wait(th->tid, 0, &status);
        if (r == 0 && WIFSTOPPED(status) && status >> 16)
            stop--; /* an older interruption's stop */
        else if (r < 0 || !WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80))
            return crs_fail(err, CRS_FAILED, EFAULT,
                            "resuming a call of thread %d ended with status %#x", th->tid, status);
    }
    r = arch_get_regs(th->tid, &with, err);
    if (r == 0 && (int64_t)u->rax != RESTART_BLOCK) { /* it has happened already */
        regs->user.rax = is_restart(u->rax) ? RESTART_NO_HAND : (long)u->rax;
        regs->user.orig_rax = is_restart(u->rax) ? regs->user.orig_rax : (unsigned long long)-1;
    }
    return r;
}

static uint64_t shift(uint64_t ns, int64_t shift_ns)
{
    return (int64_t)ns + shift_ns > 0 ? ns + shift_ns : 0;
}

int arch_shift_deadline(struct tracee_thread *th, struct arch_regs *regs, int64_t shift_ns,
                        struct crs_error *err)
{
    struct user_regs_struct *u = &regs->user;
    unsigned long long *arg = NULL;
    uint64_t ns;

    struct uring_wait wait;

    if (!is_restart(u->rax) || shift_ns == 0)
        return 0;
    if (u->orig_rax == SYS_io_uring_enter)
        return (u->r10 & URING_ABS_TIMER) && read_uring_wait(th, u, &wait, &ns)
                   ? put_uring_wait(th, u, &wait, shift(ns, shift_ns), err)
                   : 0;
    if (u->orig_rax == SYS_clock_nanosleep && (u->rsi & TIMER_ABSTIME) &&
        (u->rdi == CLOCK_MONOTONIC || u->rdi == CLOCK_BOOTTIME))
        arg = &u->rdx;
    if (u->orig_rax == SYS_futex && (u->rsi & ~0x80ULL) == 9 /* FUTEX_WAIT_BITSET, monotonic */)
        arg = &u->r10;
    if (!arg || !read_timespec(th->owner, *arg, &ns))
        return 0;
    ns = shift(ns, shift_ns);
    struct timespec ts = {ns / 1000000000, ns % 1000000000};
    uint64_t place = (u->rsp - BELOW_RED_ZONE) & ~7ULL;
    int r = tracee_write(th->owner, place, &ts, sizeof(ts), err);
    if (r == 0)
        *arg = place;
    return r;
}
