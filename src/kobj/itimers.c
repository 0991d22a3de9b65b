/* itimers.c - interval timers: setitimer(2), alarm(2) */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "itimers.pb-c.h"
#include "kobj/attributes.h"
#include "kobj/questions.h"

#define N_TIMERS 3 /* ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF */

static uint64_t to_us(const struct timeval *tv)
{
    return (uint64_t)tv->tv_sec * 1000000 + tv->tv_usec;
}

static struct timeval from_us(uint64_t us)
{
    return (struct timeval){us / 1000000, us % 1000000};
}

#define QUESTION(which)                                                                            \
    {                                                                                              \
        .number = SYS_getitimer, .args = {(which)}, .block_arg = 1,                                \
        .block_size = sizeof(struct itimerval)                                                     \
    }

static const struct kobj_question questions[N_TIMERS] = {
    QUESTION(ITIMER_REAL), QUESTION(ITIMER_VIRTUAL), QUESTION(ITIMER_PROF)};

static int dump_itimers(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    struct itimerval values[N_TIMERS];
    Crs__Itimer records[N_TIMERS], *pointers[N_TIMERS];
    Crs__Itimers message = CRS__ITIMERS__INIT;

    int64_t result;
    int r = 0;

    message.timers = pointers;
    for (int which = 0; r == 0 && which < N_TIMERS; which++) {
        r = kobj_ask(tracee_main(ctx->t), &questions[which], &result, &values[which], err);
        if (r < 0)
            return r;
        if (kobj_call_failed(result))
            return crs_fail(err, CRS_CANT_CHECKPOINT, -result,
                            "can't read interval timer %d of process %d: %s", which, ctx->t->pid,
                            strerror(-result));
        if (!to_us(&values[which].it_value) && !to_us(&values[which].it_interval))
            continue;
        Crs__Itimer *record = &records[message.n_timers];
        crs__itimer__init(record);
        record->which = which;
        record->remaining_us = to_us(&values[which].it_value);
        record->interval_us = to_us(&values[which].it_interval);
        pointers[message.n_timers++] = record;
    }
    return r == 0 && message.n_timers ? kobj_pack(&message.base, ret_payload, err) : r;
}

/*
 * A real-time timer with an interval and nothing left has expired: the kernel starts it again when
 * its pending SIGALRM is taken. It gets there by expiring at once here too; the saved SIGALRM,
 * which is queued later, finds one pending and vanishes.
 */
static uint64_t time_to_set(const Crs__Itimer *record)
{
    if (record->which == ITIMER_REAL && !record->remaining_us && record->interval_us)
        return 1;
    return record->remaining_us;
}

static int set_timer(struct tracee_thread *thread, const Crs__Itimer *record, uint64_t us,
                     struct crs_error *err)
{
    struct itimerval value = {from_us(record->interval_us), from_us(us)};
    int64_t result;
    int r = tracee_call_with_block(thread, &result, err, SYS_setitimer,
                                   (uint64_t[6]){record->which}, 1, &value, NULL, sizeof(value));

    if (r == 0 && kobj_call_failed(result))
        r = crs_fail(err, CRS_CANT_RESTART, -result, "can't set interval timer %u: %s",
                     record->which, strerror(-result));
    return r;
}

/* The kernel adds a tick to timers that count CPU time: take it off again, else it would grow with
 * each checkpoint. */
static int take_off_tick(struct tracee_thread *thread, const Crs__Itimer *record,
                         struct crs_error *err)
{
    uint64_t wanted = record->remaining_us;
    struct itimerval value;
    int64_t result;
    int r = tracee_call_with_block(thread, &result, err, SYS_getitimer,
                                   (uint64_t[6]){record->which}, 1, NULL, &value, sizeof(value));

    if (r < 0 || kobj_call_failed(result) || to_us(&value.it_value) <= wanted)
        return r;
    uint64_t added = to_us(&value.it_value) - wanted;
    return added < wanted ? set_timer(thread, record, wanted - added, err) : 0;
}

static int restore_itimers(struct kobj_restore *ctx, const Crs__Process *process,
                           const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__Itimers *message = NULL;
    int r = kobj_unpack(&crs__itimers__descriptor, payload, &message, err);

    for (size_t i = 0; r == 0 && i < message->n_timers; i++) {
        const Crs__Itimer *record = message->timers[i];
        r = set_timer(tracee_main(ctx->t), record, time_to_set(record), err);
        if (r == 0 && record->which != ITIMER_REAL && record->remaining_us)
            r = take_off_tick(tracee_main(ctx->t), record, err);
    }
    return r;
}

static int describe_itimers(const struct bytes *payload, char *text, size_t size)
{
    static const char *const names[N_TIMERS] = {"real", "virtual", "profiling"};
    _cleanup_message_ Crs__Itimers *message = NULL;
    int r = kobj_unpack(&crs__itimers__descriptor, payload, &message, NULL);
    size_t n = 0;

    for (size_t i = 0; r == 0 && i < message->n_timers && n < size; i++) {
        const Crs__Itimer *record = message->timers[i];
        n += snprintf(text + n, size - n, "%s%s: %.1f s left", i ? ", " : "",
                      record->which < N_TIMERS ? names[record->which] : "?",
                      record->remaining_us / 1e6);
    }
    return r;
}

const struct kobj_process_kind kobj_itimers = {
    .name = "itimers",
    .title = "interval timers (setitimer, alarm)",
    .saved = "yes",
    .dump = dump_itimers,
    .restore = restore_itimers,
    .questions = questions,
    .n_questions = N_TIMERS,
    .describe = describe_itimers,
};
