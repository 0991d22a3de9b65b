/* pending_signals.c - signals that were sent and not yet delivered, with their data, in order */
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>

#include "kobj/attributes.h"
#include "kobj/pending_signals.h"
#include "kobj/questions.h"
#include "pending_signals.pb-c.h"
#include "proc/timers.h"

#define N_SIGNALS    64
#define SIGINFO_SIZE 128
_Static_assert(sizeof(siginfo_t) == SIGINFO_SIZE, "siginfo_t of the kernel");

void signal_queue_clear(struct signal_queue *queue)
{
    free(queue->items);
    *queue = (struct signal_queue){0};
}

bool signal_is_of_timer(const siginfo_t *info, uint32_t timer_id)
{
    return info->si_code == SI_TIMER && (uint32_t)info->si_timerid == timer_id;
}

bool clock_counts_cpu_time(int clock)
{
    return clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

static int queue_add(struct signal_queue *queue, const siginfo_t *info, struct crs_error *err)
{
    siginfo_t *place = ARRAY_ADD(queue);

    if (!place)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for %zu pending signals", queue->n);
    *place = *info;
    return 0;
}

int signal_queue_peek(struct tracee_thread *thread, bool shared, struct signal_queue *ret,
                      struct crs_error *err)
{
    struct __ptrace_peeksiginfo_args args = {.flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0,
                                             .nr = 32};
    _cleanup_signal_queue_ struct signal_queue queue = {0};
    siginfo_t some[32];

    for (;;) {
        long n = ptrace(PTRACE_PEEKSIGINFO, thread->tid, &args, some);
        if (n < 0)
            return crs_fail_errno(err, CRS_CANT_CHECKPOINT,
                                  "can't read the pending signals of thread %d", thread->tid);
        if (n == 0)
            break;
        for (long i = 0; i < n; i++) {
            int r = queue_add(&queue, &some[i], err);
            if (r < 0)
                return r;
        }
        args.off += n;
    }
    *ret = queue;
    queue = (struct signal_queue){0};
    return 0;
}

/* Signals that the kernel had no memory to queue are known by their bit alone; such a signal is
 * delivered as if sent by nobody. */
static int add_unqueued(struct signal_queue *queue, uint64_t pending, struct crs_error *err)
{
    for (size_t i = 0; i < queue->n; i++)
        if (queue->items[i].si_signo >= 1 && queue->items[i].si_signo <= N_SIGNALS)
            pending &= ~((uint64_t)1 << (queue->items[i].si_signo - 1));
    for (int signal = 1; signal <= N_SIGNALS; signal++) {
        siginfo_t info = {.si_signo = signal, .si_code = SI_USER};
        if (pending >> (signal - 1) & 1) {
            int r = queue_add(queue, &info, err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static bool can_be_sent(int signal)
{
    return signal >= 1 && signal <= N_SIGNALS && signal != SIGKILL && signal != SIGSTOP;
}

/* Will posix_timers.c bring it back? */
static bool is_made_by_timer(const siginfo_t *info, const struct proc_timer *timers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (signal_is_of_timer(info, timers[i].id) && !clock_counts_cpu_time(timers[i].clock))
            return true;
    return false;
}

static int drop_made_by_timers(struct kobj_dump *ctx, struct signal_queue *queue,
                               struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_free_ struct proc_timer *timers = NULL;
    size_t n_timers, kept = 0;
    int r = kobj_read_proc(ctx->t, &text, err, "timers");

    if (r < 0)
        return r;
    r = proc_timers_parse((const char *)text.data, &timers, &n_timers);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't make sense of /proc/%d/timers", ctx->t->pid);
    for (size_t i = 0; i < queue->n; i++)
        if (!is_made_by_timer(&queue->items[i], timers, n_timers))
            queue->items[kept++] = queue->items[i];
    queue->n = kept;
    return 0;
}

static int pack_queue(const struct signal_queue *queue, struct bytes *ret_payload,
                      struct crs_error *err)
{
    Crs__PendingSignals message = CRS__PENDING_SIGNALS__INIT;
    _cleanup_free_ ProtobufCBinaryData *infos = calloc(queue->n + 1, sizeof(*infos));

    if (!infos)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for %zu pending signals", queue->n);
    message.siginfo = infos;
    for (size_t i = 0; i < queue->n; i++)
        if (can_be_sent(queue->items[i].si_signo))
            infos[message.n_siginfo++] =
                (ProtobufCBinaryData){SIGINFO_SIZE, (uint8_t *)&queue->items[i]};
    return message.n_siginfo ? kobj_pack(&message.base, ret_payload, err) : 0;
}

/* Those pending for the thread and for its process; while it makes calls it blocks all of them. */
static const struct kobj_question pending_of_thread = {
    .number = SYS_rt_sigpending, .args = {0, sizeof(uint64_t)}, .block_size = sizeof(uint64_t)};

/* May a signal pend that isn't in the thread's own queue? Few have any, and to look into its status
 * takes longer. */
static int may_have_unqueued(struct tracee_thread *thread, const struct signal_queue *queue,
                             bool *ret, struct crs_error *err)
{
    uint64_t pending = 0;
    int64_t result;
    int r = kobj_ask(thread, &pending_of_thread, &result, &pending, err);

    for (size_t i = 0; i < queue->n; i++)
        pending &= ~((uint64_t)1 << (queue->items[i].si_signo - 1));
    *ret = r == 0 && (kobj_call_failed(result) || pending != 0);
    return r;
}

static int find_unqueued(struct tracee_thread *thread, bool shared, struct signal_queue *queue,
                         struct crs_error *err)
{
    _cleanup_proc_status_ struct proc_status status = {0};
    bool wanted = true;
    int r = shared ? 0 : may_have_unqueued(thread, queue, &wanted, err);

    if (r < 0 || !wanted)
        return r;
    r = kobj_read_status_now(thread, &status, err);
    return r < 0
               ? r
               : add_unqueued(queue, shared ? status.shared_pending : status.signals_pending, err);
}

static int dump_queue(struct kobj_dump *ctx, struct tracee_thread *thread, bool shared,
                      struct bytes *ret_payload, struct crs_error *err)
{
    _cleanup_signal_queue_ struct signal_queue queue = {0};
    bool has_timers = false;
    int r = signal_queue_peek(thread, shared, &queue, err);

    if (r == 0)
        r = find_unqueued(thread, shared, &queue, err);
    for (size_t i = 0; r == 0 && i < queue.n; i++)
        has_timers |= queue.items[i].si_code == SI_TIMER;
    if (r == 0 && has_timers)
        r = drop_made_by_timers(ctx, &queue, err);
    return r < 0 ? r : pack_queue(&queue, ret_payload, err);
}

/* Send them by the process's own hand: to oneself, any sender may be written into the data. */
static int send_all(struct kobj_restore *ctx, struct tracee_thread *thread, bool shared,
                    const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__PendingSignals *message = NULL;
    int r = kobj_unpack(&crs__pending_signals__descriptor, payload, &message, err);
    uint64_t pid = ctx->t->inner_pid, tid = thread->inner_tid;

    for (size_t i = 0; r == 0 && i < message->n_siginfo; i++) {
        siginfo_t info;
        int64_t result;
        if (message->siginfo[i].len != SIGINFO_SIZE)
            return crs_fail(err, CRS_DAMAGED, EBADMSG, "a pending signal has %zu bytes of data",
                            message->siginfo[i].len);
        memcpy(&info, message->siginfo[i].data, SIGINFO_SIZE);
        if (!can_be_sent(info.si_signo))
            return crs_fail(err, CRS_DAMAGED, EBADMSG, "a pending signal has number %d",
                            info.si_signo);
        uint64_t number = info.si_signo;
        if (shared)
            r = tracee_call_with_block(thread, &result, err, SYS_rt_sigqueueinfo,
                                       (uint64_t[6]){pid, number}, 2, &info, NULL, SIGINFO_SIZE);
        else
            r = tracee_call_with_block(thread, &result, err, SYS_rt_tgsigqueueinfo,
                                       (uint64_t[6]){pid, tid, number}, 3, &info, NULL,
                                       SIGINFO_SIZE);
        if (r == 0 && kobj_call_failed(result))
            r = crs_fail(err, CRS_CANT_RESTART, -result, "can't queue the pending signal %d: %s",
                         info.si_signo, strerror(-result));
    }
    return r;
}

static int describe_queue(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__PendingSignals *message = NULL;
    int r = kobj_unpack(&crs__pending_signals__descriptor, payload, &message, NULL);

    if (r == 0)
        snprintf(text, size, "%zu", message->n_siginfo);
    return r;
}

static int dump_shared(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    return dump_queue(ctx, tracee_main(ctx->t), true, ret_payload, err);
}

static int restore_shared(struct kobj_restore *ctx, const Crs__Process *process,
                          const struct bytes *payload, struct crs_error *err)
{
    return send_all(ctx, tracee_main(ctx->t), true, payload, err);
}

static int dump_own(struct kobj_dump *ctx, struct tracee_thread *thread, struct bytes *ret_payload,
                    struct crs_error *err)
{
    return dump_queue(ctx, thread, false, ret_payload, err);
}

static int restore_own(struct kobj_restore *ctx, struct tracee_thread *thread,
                       const Crs__Thread *record, const struct bytes *payload,
                       struct crs_error *err)
{
    return send_all(ctx, thread, false, payload, err);
}

const struct kobj_process_kind kobj_pending_signals = {
    .name = "pending_signals",
    .title = "pending signals",
    .saved = "yes",
    .dump = dump_shared,
    .restore = restore_shared,
    .describe = describe_queue,
};

const struct kobj_thread_kind kobj_thread_pending_signals = {
    .name = "pending_signals",
    .title = "pending signals",
    .saved = "yes",
    .dump = dump_own,
    .restore = restore_own,
    .describe = describe_queue,
    .questions = &pending_of_thread,
    .n_questions = 1,
};
