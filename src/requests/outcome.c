/* outcome.c - how a request ended: told to its processes, and what follows from it */
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/io.h"
#include "engine/cooperation.h"
#include "libcr.h"
#include "proc/stat.h"
#include "requests/request.h"

#define FIRST_SLEEP_US   20
#define GIVEN_UP_TIME_US 1000000

static void send(const struct member *m, int sig)
{
    syscall(SYS_pidfd_send_signal, m->pidfd, sig, NULL, 0);
}

static bool is_stop(int sig)
{
    return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/* What its library is to wait for at the end of the callbacks. One that was stopped is stopped
 * again, unless something else was asked for. */
static int signal_after(const struct request *q, const struct member *m,
                        enum cooperation_outcome outcome)
{
    int sig = outcome == COOPERATION_CONTINUE ? q->options->signal : 0;

    if (sig == 0 && m->was_stopped)
        return SIGSTOP;
    return sig > 0 ? sig : 0;
}

int outcome_tell(struct request *q, struct member *m, struct tracee *t,
                 enum cooperation_outcome outcome, int code, struct crs_error *err)
{
    struct cooperation block;

    /* Nobody has begun: there is no last one. */
    if (!m->takes_part || (member_read(m, &block) == 0 && block.phase == COOPERATION_IDLE)) {
        m->state = MEMBER_DONE;
        if (m->was_stopped)
            send(m, SIGSTOP);
        return cooperation_put_back_in(t, m->block, err);
    }
    int r = MEMBER_PUT(t, m, code, code, err);
    if (r == 0)
        r = MEMBER_PUT(t, m, signal, signal_after(q, m, outcome), err);
    if (r == 0)
        r = MEMBER_PUT(t, m, outcome, outcome, err);
    m->state = MEMBER_RELEASED;
    m->told_failed = outcome != COOPERATION_CONTINUE;
    return r;
}

void outcome_saved(struct request *q, struct member *m, struct tracee *held)
{
    _cleanup_(cleanup_tracee) struct tracee *t = NULL;
    struct crs_error error = {0};
    int r = held ? 0 : member_hold(q, m, &t);

    if (r < 0) /* its library sees when we are gone */
        return;
    if (q->options->signal < 0)
        send(m, -q->options->signal);
    r = outcome_tell(q, m, held ? held : t, COOPERATION_CONTINUE, 0, &error);
    if (r < 0)
        request_fail_with(q, request_code(r, &error), &error);
}

int outcome_omit(struct request *q, struct member *m)
{
    _cleanup_(cleanup_tracee) struct tracee *t = NULL;
    struct crs_error error = {0};
    pid_t *place = ARRAY_ADD(&q->omitted);

    if (!place)
        return request_fail(q, ENOMEM, "out of memory");
    *place = m->pid;
    m->omitted = true;
    int r = member_hold(q, m, &t);
    if (r < 0)
        return r == -ESRCH ? 0 : r;
    r = outcome_tell(q, m, t, COOPERATION_OMITTED, CR_EOMITTED, &error);
    return r < 0 ? request_fail_with(q, request_code(r, &error), &error) : 0;
}

static void fail_one(struct request *q, struct member *m, int code)
{
    _cleanup_(cleanup_tracee) struct tracee *t = NULL;
    struct crs_error error = {0};

    if (tracee_freeze(m->pid, now_us() + 10 * 1000000, &t, &error) == 0)
        outcome_tell(q, m, t, COOPERATION_FAILED, code, &error);
    else if (member_has_ended(m))
        m->state = MEMBER_GONE;
    else /* its library sees when we are gone */
        request_warn(q, "process %d can't be told that the checkpoint failed: %s", m->pid,
                     error.text);
}

void outcome_fail_all(struct request *q, int code)
{
    for (size_t i = 0; i < q->members.n; i++) {
        struct member *m = &q->members.items[i];
        if (m->block && m->state > MEMBER_NEW && m->state < MEMBER_RELEASED && m->told)
            fail_one(q, m, code);
    }
}

void outcome_kill_all(struct request *q)
{
    for (size_t i = 0; i < q->members.n; i++) {
        struct member *m = &q->members.items[i];
        if (m->state == MEMBER_GONE || m->omitted)
            continue;
        send(m, SIGKILL);
        m->state = MEMBER_GONE;
    }
}

void outcome_signal(struct request *q, struct member *m)
{
    int sig = q->saved && !m->omitted ? abs(q->options->signal) : 0;

    if (sig > 0)
        send(m, sig);
    else if (m->was_stopped)
        send(m, SIGSTOP);
}

/* Its library holds it back until the signal was sent. */
static void signal_held(struct member *m, int sig)
{
    int32_t none = 0;
    struct iovec local = {&none, sizeof(none)},
                 remote = {(void *)(m->block + offsetof(struct cooperation, signal)), sizeof(none)};

    if (!m->signalled)
        send(m, sig);
    m->signalled = true;
    process_vm_writev(m->tid, &local, 1, &remote, 1, 0);
}

/* The same with one that stops it: while all of its threads stand still, so that none of them goes
 * on in between. */
static void stop_held(struct request *q, struct member *m, int sig)
{
    _cleanup_(cleanup_tracee) struct tracee *t = NULL;
    struct crs_error error = {0};
    int r = member_hold(q, m, &t);

    if (r == -ESRCH)
        return;
    if (r < 0 || MEMBER_PUT(t, m, signal, 0, &error) < 0)
        signal_held(m, sig);
    else
        send(m, sig);
}

/* Stopped by an early signal it doesn't come to its end before someone wakes it. */
static bool was_stopped_early(const struct request *q, const struct member *m)
{
    _cleanup_bytes_ struct bytes text = {0};
    struct proc_stat stat;
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/stat", m->pid);
    return q->options->signal < 0 && read_file(-1, path, 4096, &text) == 0 &&
           proc_stat_parse((const char *)text.data, &stat) == 0 && stat.state == 'T';
}

/* Its callbacks are on their way to their end. */
static int watch_one(struct request *q, struct member *m)
{
    struct cooperation block;

    if (member_read(m, &block) < 0 || member_has_ended(m)) {
        m->state = MEMBER_GONE;
        return 0;
    }
    if (block.callback_error && !m->told_failed) {
        send(m, SIGKILL);
        m->state = MEMBER_GONE;
        return request_fail(q, CR_EPERMFAIL,
                            "a callback of process %d failed after the checkpoint: it was ended",
                            m->pid);
    }
    if (block.phase == COOPERATION_SIGNAL_PHASE && block.signal && block.rounds == m->rounds)
        signal_held(m, block.signal);
    /* Another program's block; or all is put back, and the round not counted yet. Where a signal is
     * to stop it, it is waited for in the latter case. */
    if (block.rounds == m->rounds && !cooperation_is_busy(&block) && !is_stop(block.signal)) {
        m->state = MEMBER_GONE;
        return 0;
    }
    if (block.rounds == m->rounds && !was_stopped_early(q, m))
        return 0;
    m->state = MEMBER_DONE;
    if (is_stop(block.signal) && block.rounds != m->rounds)
        stop_held(q, m, block.signal);
    return 0;
}

static bool is_waited_for(const struct request *q)
{
    for (size_t i = 0; i < q->members.n; i++)
        if (q->members.items[i].state == MEMBER_RELEASED)
            return true;
    return false;
}

int outcome_wait(struct request *q, bool given_up)
{
    uint64_t until = now_us() + GIVEN_UP_TIME_US;
    unsigned sleep_us = FIRST_SLEEP_US;
    int ret = 0;

    while (is_waited_for(q)) {
        for (size_t i = 0; i < q->members.n; i++) {
            struct member *m = &q->members.items[i];
            int r = m->state == MEMBER_RELEASED ? watch_one(q, m) : 0;
            if (ret == 0)
                ret = r;
        }
        if (!is_waited_for(q))
            break;
        int r = given_up ? 0 : request_check_time(q);
        if (given_up && now_us() > until)
            break;
        if (r < 0)
            return ret < 0 ? ret : r;
        phases_sleep(q, &sleep_us);
    }
    return ret;
}
