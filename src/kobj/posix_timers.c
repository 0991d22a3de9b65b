/*
 * posix_timers.c - POSIX timers: timer_create(2)
 *
 * The kernel shows a timer's settings in /proc/PID/timers and its time by a remote timer_gettime().
 * Timers get their old IDs back: by PR_TIMER_CREATE_RESTORE_IDS, or on kernels without it (before
 * 6.15) by making and deleting timers until the ID comes.
 *
 * A timer whose signal waits in the queue is not running: the kernel starts it again, and counts
 * the overruns, when the signal is taken. So that signal is not queued by hand: the timer is set to
 * the time of its last expiry, and expires at once.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "kobj/attributes.h"
#include "kobj/pending_signals.h"
#include "posix_timers.pb-c.h"
#include "proc/timers.h"

#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS     77
#define PR_TIMER_CREATE_RESTORE_IDS_OFF 0
#define PR_TIMER_CREATE_RESTORE_IDS_ON  1
#endif

#define MAX_SKIPPED_IDS 100000 /* without the prctl: 2 calls each */

/* A clock ID for CPU time: ~ID << 3, whether of a thread, and which of three clocks. */
#define CPU_CLOCK_OF_THREAD 4
#define CPU_CLOCK_BITS      7

static pid_t cpu_clock_owner(int clock)
{
    return ~(clock >> 3);
}

static int make_cpu_clock(pid_t owner, int bits)
{
    return (int)(~(unsigned)owner << 3) | (bits & CPU_CLOCK_BITS);
}

static uint64_t to_ns(const struct timespec *ts)
{
    return (uint64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}

static struct timespec from_ns(uint64_t ns)
{
    return (struct timespec){ns / 1000000000, ns % 1000000000};
}

/* ---- the checkpoint ---- */

/* The number of a thread, from 1; 0: there is none with that ID. */
static uint32_t thread_number(struct tracee *t, pid_t id, bool as_it_sees_itself)
{
    for (size_t i = 0; i < t->n_threads; i++)
        if ((as_it_sees_itself ? t->threads[i].inner_tid : t->threads[i].tid) == id)
            return i + 1;
    return 0;
}

static int dump_cpu_clock(struct kobj_dump *ctx, int clock, Crs__PosixTimer *record,
                          struct crs_error *err)
{
    struct tracee *t = ctx->t;
    pid_t owner = cpu_clock_owner(clock);

    record->clock = clock & CPU_CLOCK_BITS;
    if (!(clock & CPU_CLOCK_OF_THREAD) && (owner == 0 || owner == t->inner_pid)) {
        record->clock_owner = CRS__CLOCK_OWNER__CLOCK_OWNER_PROCESS;
        return 0;
    }
    record->clock_owner = CRS__CLOCK_OWNER__CLOCK_OWNER_THREAD;
    record->clock_thread = owner ? thread_number(t, owner, true) : 1;
    if (!(clock & CPU_CLOCK_OF_THREAD) || !record->clock_thread)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "timer %u of process %d counts the CPU time of another process or an ended "
                        "thread (%d), which can't be saved; delete the timer before the checkpoint",
                        record->id, t->pid, owner);
    if (owner == 0 && t->n_threads > 1)
        KOBJ_WARN(ctx,
                  "timer %u of process %d counts the CPU time of the thread that made it; which "
                  "one can't be known: after a restart it counts that of the first thread",
                  record->id, t->pid);
    return 0;
}

static int dump_clock(struct kobj_dump *ctx, int clock, Crs__PosixTimer *record,
                      struct crs_error *err)
{
    if (clock == CLOCK_PROCESS_CPUTIME_ID)
        clock = make_cpu_clock(0, 2);
    else if (clock == CLOCK_THREAD_CPUTIME_ID)
        clock = make_cpu_clock(0, 2 | CPU_CLOCK_OF_THREAD);
    if (clock < 0)
        return dump_cpu_clock(ctx, clock, record, err);
    record->clock = clock;
    return 0;
}

static int is_signal_pending(struct kobj_dump *ctx, const struct proc_timer *timer,
                             protobuf_c_boolean *ret, struct crs_error *err)
{
    _cleanup_signal_queue_ struct signal_queue queue = {0};
    struct tracee_thread *thread = tracee_main(ctx->t);
    bool shared = !(timer->notify & SIGEV_THREAD_ID);

    if (clock_counts_cpu_time(timer->clock) || timer->notify == SIGEV_NONE)
        return 0;
    if (!shared) {
        uint32_t number = thread_number(ctx->t, timer->target, false);
        if (!number || ctx->t->threads[number - 1].exited)
            return 0;
        thread = &ctx->t->threads[number - 1];
    }
    int r = signal_queue_peek(thread, shared, &queue, err);
    for (size_t i = 0; r == 0 && i < queue.n; i++)
        if (signal_is_of_timer(&queue.items[i], timer->id))
            *ret = true;
    return r;
}

static int dump_timer(struct kobj_dump *ctx, const struct proc_timer *timer,
                      const struct itimerspec *time, Crs__PosixTimer *record, struct crs_error *err)
{
    crs__posix_timer__init(record);
    record->id = timer->id;
    record->notify = timer->notify;
    record->signal = timer->signal;
    record->value = timer->value;
    if (timer->notify & SIGEV_THREAD_ID)
        record->target = thread_number(ctx->t, timer->target, false);
    record->remaining_ns = to_ns(&time->it_value);
    record->interval_ns = to_ns(&time->it_interval);
    int r = dump_clock(ctx, timer->clock, record, err);
    return r < 0 ? r : is_signal_pending(ctx, timer, &record->pending, err);
}

static int read_timers(struct kobj_dump *ctx, struct proc_timer **ret, size_t *ret_n,
                       struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    int r = kobj_read_proc(ctx->t, &text, err, "timers");

    if (r < 0)
        return r;
    r = proc_timers_parse((const char *)text.data, ret, ret_n);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't make sense of /proc/%d/timers", ctx->t->pid);
    return 0;
}

static int read_times(struct kobj_dump *ctx, const struct proc_timer *timers, size_t n,
                      struct itimerspec *times, struct crs_error *err)
{
    _cleanup_free_ struct remote_call *calls = calloc(n, sizeof(*calls));

    if (!calls)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for %zu timers", n);
    for (size_t i = 0; i < n; i++)
        calls[i] = (struct remote_call){.number = SYS_timer_gettime, .args = {timers[i].id}};
    int r = kobj_call_blocks(tracee_main(ctx->t), calls, n, 1, NULL, times, sizeof(*times), err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (kobj_call_failed(calls[i].result))
            r = crs_fail(err, CRS_CANT_CHECKPOINT, -calls[i].result,
                         "can't read timer %u of process %d: %s", timers[i].id, ctx->t->pid,
                         strerror(-calls[i].result));
    return r;
}

static int by_id(const void *a, const void *b)
{
    const struct proc_timer *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

static int dump_posix_timers(struct kobj_dump *ctx, struct bytes *ret_payload,
                             struct crs_error *err)
{
    _cleanup_free_ struct proc_timer *timers = NULL;
    size_t n = 0;
    int r = read_timers(ctx, &timers, &n, err);

    if (r < 0 || n == 0)
        return r;
    qsort(timers, n, sizeof(*timers), by_id); /* the loop for old kernels counts upwards */
    _cleanup_free_ struct itimerspec *times = calloc(n, sizeof(*times));
    _cleanup_free_ Crs__PosixTimer *records = calloc(n, sizeof(*records));
    _cleanup_free_ Crs__PosixTimer **pointers = calloc(n, sizeof(Crs__PosixTimer *));
    if (!times || !records || !pointers)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for %zu timers", n);
    r = read_times(ctx, timers, n, times, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = dump_timer(ctx, &timers[i], &times[i], &records[i], err);
        pointers[i] = &records[i];
    }
    Crs__PosixTimers message = CRS__POSIX_TIMERS__INIT;
    message.timers = pointers;
    message.n_timers = n;
    return r < 0 ? r : kobj_pack(&message.base, ret_payload, err);
}

/* ---- the restart ---- */

static int check_posix_timers(struct kobj_restore *ctx, const Crs__Process *process,
                              const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__PosixTimers *message = NULL;
    int r = kobj_unpack(&crs__posix_timers__descriptor, payload, &message, err);

    for (size_t i = 0; r == 0 && i < message->n_timers; i++) {
        const Crs__PosixTimer *timer = message->timers[i];
        if ((i > 0 && timer->id <= message->timers[i - 1]->id) || timer->id > INT32_MAX ||
            timer->target > process->n_threads || timer->clock_thread > process->n_threads ||
            (timer->clock_owner != CRS__CLOCK_OWNER__CLOCK_OWNER_NONE &&
             (timer->clock < 0 || timer->clock > CPU_CLOCK_BITS)) ||
            (timer->clock_owner == CRS__CLOCK_OWNER__CLOCK_OWNER_THREAD && !timer->clock_thread))
            r = crs_fail(err, CRS_DAMAGED, EBADMSG, "timer %u of the snapshot makes no sense",
                         timer->id);
    }
    return r;
}

static int clock_to_use(struct kobj_restore *ctx, const Crs__PosixTimer *record)
{
    switch (record->clock_owner) {
    case CRS__CLOCK_OWNER__CLOCK_OWNER_PROCESS:
        return make_cpu_clock(0, record->clock);
    case CRS__CLOCK_OWNER__CLOCK_OWNER_THREAD:
        return make_cpu_clock(ctx->t->threads[record->clock_thread - 1].inner_tid, record->clock);
    default:
        return record->clock;
    }
}

/* timer_create() with the wanted ID written where the kernel looks for it, when it looks. */
static int create_timer(struct kobj_restore *ctx, const Crs__PosixTimer *record, uint32_t *ret_id,
                        struct crs_error *err)
{
    struct tracee_thread *thread = tracee_main(ctx->t);
    struct {
        struct sigevent event;
        uint32_t id;
    } block = {.event = {.sigev_notify = record->notify, .sigev_signo = record->signal},
               .id = record->id};
    uint64_t event_at = ctx->t->scratch, id_at = event_at + offsetof(__typeof__(block), id);
    int64_t result;

    block.event.sigev_value.sival_ptr = (void *)(uintptr_t)record->value;
    if ((record->notify & SIGEV_THREAD_ID) && record->target)
        block.event._sigev_un._tid = ctx->t->threads[record->target - 1].inner_tid;
    else if (record->notify & SIGEV_THREAD_ID)
        block.event.sigev_notify = SIGEV_NONE; /* there is no thread to tell any more */
    int r = tracee_write(ctx->t, event_at, &block, sizeof(block), err);
    if (r == 0)
        r = REMOTE(thread, &result, err, SYS_timer_create, (uint64_t)clock_to_use(ctx, record),
                   event_at, id_at);
    if (r == 0 && kobj_call_failed(result))
        r = crs_fail(err, CRS_CANT_RESTART, -result, "can't make timer %u: %s", record->id,
                     strerror(-result));
    if (r == 0)
        r = tracee_read(ctx->t, id_at, ret_id, sizeof(*ret_id), err);
    return r;
}

/* Without the prctl: IDs count up by one, so those in between are used up. */
static int create_timer_by_counting(struct kobj_restore *ctx, const Crs__PosixTimer *record,
                                    struct crs_error *err)
{
    uint32_t id;
    int64_t result;

    for (int tries = 0; tries < MAX_SKIPPED_IDS; tries++) {
        int r = create_timer(ctx, record, &id, err);
        if (r < 0 || id == record->id)
            return r;
        r = REMOTE(tracee_main(ctx->t), &result, err, SYS_timer_delete, id);
        if (r < 0)
            return r;
        if (id > record->id)
            break;
    }
    return crs_fail(err, CRS_CANT_RESTART, EBUSY,
                    "this kernel can't give a timer the ID %u: restart on Linux 6.15 or newer",
                    record->id);
}

static int create_timer_with_id(struct kobj_restore *ctx, const Crs__PosixTimer *record,
                                struct crs_error *err)
{
    uint32_t id;
    int r = create_timer(ctx, record, &id, err);

    if (r == 0 && id != record->id)
        r = crs_fail(err, CRS_CANT_RESTART, EBUSY, "timer %u got the ID %u", record->id, id);
    return r;
}

/* When a timer with a pending signal expired last, on its clock as the process sees it: it may be
 * in a time namespace. */
static int last_expiry(struct kobj_restore *ctx, const Crs__PosixTimer *record, uint64_t *ret_ns,
                       struct crs_error *err)
{
    struct timespec now;
    int64_t result;

    *ret_ns = 1;
    if (!record->interval_ns)
        return 0;
    int r = tracee_call_with_block(tracee_main(ctx->t), &result, err, SYS_clock_gettime,
                                   (uint64_t[6]){record->clock}, 1, NULL, &now, sizeof(now));
    if (r < 0 || kobj_call_failed(result))
        return r;
    uint64_t next = to_ns(&now) + record->remaining_ns;
    if (next > record->interval_ns)
        *ret_ns = next - record->interval_ns;
    return 0;
}

static int start_timer(struct kobj_restore *ctx, const Crs__PosixTimer *record,
                       struct crs_error *err)
{
    uint64_t time = record->remaining_ns;
    int64_t result;
    int r = record->pending ? last_expiry(ctx, record, &time, err) : 0;

    if (r < 0 || !time)
        return r;
    struct itimerspec spec = {from_ns(record->interval_ns), from_ns(time)};
    r = tracee_call_with_block(tracee_main(ctx->t), &result, err, SYS_timer_settime,
                               (uint64_t[6]){record->id, record->pending ? TIMER_ABSTIME : 0}, 2,
                               &spec, NULL, sizeof(spec));
    if (r == 0 && kobj_call_failed(result))
        r = crs_fail(err, CRS_CANT_RESTART, -result, "can't start timer %u: %s", record->id,
                     strerror(-result));
    return r;
}

/* *ret: whether the kernel takes the wanted ID from us now. */
static int ask_for_ids(struct kobj_restore *ctx, bool on, bool *ret, struct crs_error *err)
{
    int64_t result;
    int r = REMOTE(tracee_main(ctx->t), &result, err, SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS,
                   on ? PR_TIMER_CREATE_RESTORE_IDS_ON : PR_TIMER_CREATE_RESTORE_IDS_OFF);

    if (r == 0)
        *ret = !kobj_call_failed(result);
    return r;
}

static int restore_posix_timers(struct kobj_restore *ctx, const Crs__Process *process,
                                const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__PosixTimers *message = NULL;
    bool ids_given = false, ignored;
    int r = kobj_unpack(&crs__posix_timers__descriptor, payload, &message, err);

    if (r == 0)
        r = kobj_need_scratch(tracee_main(ctx->t), err);
    if (r == 0)
        r = ask_for_ids(ctx, true, &ids_given, err);
    for (size_t i = 0; r == 0 && i < message->n_timers; i++)
        r = ids_given ? create_timer_with_id(ctx, message->timers[i], err)
                      : create_timer_by_counting(ctx, message->timers[i], err);
    if (r == 0 && ids_given)
        r = ask_for_ids(ctx, false, &ignored, err);
    for (size_t i = 0; r == 0 && i < message->n_timers; i++)
        r = start_timer(ctx, message->timers[i], err);
    return r;
}

static int describe_posix_timers(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__PosixTimers *message = NULL;
    size_t running = 0;
    int r = kobj_unpack(&crs__posix_timers__descriptor, payload, &message, NULL);

    for (size_t i = 0; r == 0 && i < message->n_timers; i++)
        running += message->timers[i]->remaining_ns != 0;
    if (r == 0)
        snprintf(text, size, "%zu, %zu of them running", message->n_timers, running);
    return r;
}

const struct kobj_process_kind kobj_posix_timers = {
    .name = "posix_timers",
    .title = "POSIX timers (timer_create)",
    .saved = "yes",
    .conditions = "CPU-time timers of other processes are refused",
    .privilege = "CAP_WAKE_ALARM for timers on alarm clocks",
    .dump = dump_posix_timers,
    .check = check_posix_timers,
    .restore = restore_posix_timers,
    .describe = describe_posix_timers,
};
