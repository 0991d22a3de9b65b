/* phases.c - all processes of a request, on their way to the barrier */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "engine/cooperation.h"
#include "kobj/rseq.h"
#include "libcr.h"
#include "requests/request.h"
#include "tracee/inject.h"

#define FIRST_SLEEP_US 20
#define LAST_SLEEP_US  1000

/* ---- told of the request ---- */

/* What was found of one that is held. */
struct candidate {
    struct tracee *t;
    uint64_t block; /* 0: none */
    struct cooperation words;
};

struct candidates {
    ARRAY_OF(struct candidate) array;
};

static void candidates_clear(struct candidates *c)
{
    free(c->array.items);
}

static int look(struct request *q, struct tracee *t, struct candidate *ret)
{
    struct cooperation_found found = {0};
    struct crs_error error = {0};
    const struct member *m = member_find(q, t->pid);

    ret->t = t;
    int r = targets_check_tracer(q, t);
    if (r != 0)
        return r;
    if (m && m->block && member_read(m, &ret->words) == 0) {
        ret->block = m->block;
        return 0;
    }
    r = cooperation_find(t->pid, &found, &error);
    if (r == -ENOENT) /* it has come since the others were looked at: what's there is saved */
        return 0;
    if (r < 0)
        return request_fail_with(q, request_code(r, &error), &error);
    if (!m && member_use(t->pid, &found.block) != MEMBER_FREE)
        return request_fail(q, EBUSY, "process %d takes part in another checkpoint", t->pid);
    ret->block = found.address;
    ret->words = found.block;
    return 0;
}

static int look_at_all(struct request *q, struct tree *tree, struct candidates *ret, bool *ret_wait)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < tree->members.n; i++) {
        if (!tree->members.items[i].t)
            continue;
        struct candidate *c = ARRAY_ADD(&ret->array);
        if (!c)
            return request_fail(q, ENOMEM, "out of memory");
        r = look(q, tree->members.items[i].t, c);
        if (r == 1) { /* left out: all are held anew without it */
            ret->array.n--;
            *ret_wait = true;
            r = 0;
        }
    }
    return r;
}

/* It has executed another program since it was told: its callbacks are gone with the first. */
static bool is_another(const struct member *m, const struct candidate *c)
{
    return m->takes_part && (m->block != c->block || !(c->words.sections & COOPERATION_PENDING));
}

static bool has_to_wait(const struct member *m, const struct candidate *c)
{
    if (c->block == 0 || c->t->memory_of)
        return false;
    if (m && m->takes_part)
        return m->state != MEMBER_READY;
    return member_wants(c->t->inner_pid, &c->words);
}

static int write_request(struct request *q, struct member *m, struct tracee *t,
                         struct crs_error *err)
{
    int r = MEMBER_PUT(t, m, owner, targets_seen_by(t->pid, getpid()), err);

    if (r == 0)
        r = MEMBER_PUT(t, m, requester, targets_seen_by(t->pid, q->requester), err);
    if (r == 0)
        r = MEMBER_PUT(t, m, target, targets_seen_by(t->pid, q->target), err);
    if (r == 0)
        r = MEMBER_PUT(t, m, scope, q->options->scope, err);
    if (r == 0)
        r = MEMBER_PUT(t, m, signal, abs(q->options->signal), err);
    if (r == 0)
        r = tracee_write(t, m->block + offsetof(struct cooperation, destination), q->destination,
                         strlen(q->destination) + 1, err);
    return r;
}

/* A process that a signal has stopped runs its callbacks all the same. */
static void wake(struct member *m, struct tracee *t)
{
    if (!t->group_stopped || !m->takes_part)
        return;
    m->was_stopped = true;
    syscall(SYS_pidfd_send_signal, t->pidfd, SIGCONT, NULL, 0);
}

static void find_runner(struct member *m, struct tracee *t, const struct cooperation *block)
{
    tracee_for_each_thread (t, th)
        if (th->inner_tid == block->runner_tid)
            m->runner_tid = th->tid;
}

static int tell(struct request *q, struct member *m, const struct candidate *c,
                struct crs_error *err)
{
    uint32_t sections = c->words.sections;
    int r = 0;

    bool stale = sections & COOPERATION_PENDING; /* a tool's that is gone */
    m->rounds = c->words.rounds + stale;
    m->takes_part = member_has_callbacks(m->inner_pid, &c->words);
    if (stale)
        r = cooperation_put_back_in(c->t, m->block, err);
    if (r == 0)
        r = write_request(q, m, c->t, err);
    if (r == 0)
        r = MEMBER_PUT(c->t, m, sections, sections | COOPERATION_PENDING, err);
    if (r < 0)
        return r;
    m->told = true;
    m->state = MEMBER_READY;
    if (c->words.pid != m->inner_pid) /* what a fork has copied: it counts for nothing */
        return 0;
    m->state = MEMBER_PENDING;
    if (sections & ~COOPERATION_PENDING)
        return 0;
    wake(m, c->t);
    find_runner(m, c->t, &c->words);
    m->state = m->takes_part ? MEMBER_CALLED : MEMBER_READY;
    if (c->words.runner_tid == 0 || !m->takes_part)
        return 0;
    m->state = MEMBER_RUNNER;
    return MEMBER_PUT(c->t, m, phase, COOPERATION_RUNNER_PHASE, err);
}

static int take_member(struct request *q, const struct candidate *c, bool tell_it)
{
    struct member *m = member_find(q, c->t->pid);
    struct crs_error error = {0};

    if (!m)
        m = member_add(q, c->t->pid);
    if (!m)
        return request_fail(q, ENOMEM, "out of memory");
    m->tid = tracee_main(c->t)->tid;
    m->inner_pid = c->t->inner_pid;
    m->told = m->told && m->block == c->block;
    m->block = c->t->memory_of ? 0 : c->block;
    if (m->takes_part)
        return 0;
    if (!tell_it || m->block == 0) {
        m->state = MEMBER_READY;
        return 0;
    }
    int r = tell(q, m, c, &error);
    return r < 0 ? request_fail_with(q, request_code(r, &error), &error) : 0;
}

/* Its callbacks are gone with the program that it was: it goes its own way. */
static int drop(struct request *q, struct member *m)
{
    pid_t *place = ARRAY_ADD(&q->omitted);

    if (!place)
        return request_fail(q, ENOMEM, "out of memory");
    *place = m->pid;
    m->state = MEMBER_GONE;
    return 0;
}

int phases_tell(struct request *q, struct tree *tree, bool all, bool *ret_wait)
{
    _cleanup_(candidates_clear) struct candidates found = {0};
    bool wait = false;
    int r = look_at_all(q, tree, &found, &wait);

    for (size_t i = 0; r == 0 && i < found.array.n; i++) {
        const struct candidate *c = &found.array.items[i];
        struct member *m = member_find(q, c->t->pid);
        bool another = m && is_another(m, c);
        wait |= another || has_to_wait(m, c);
        if (another)
            r = drop(q, m);
    }
    for (size_t i = 0; r == 0 && i < found.array.n; i++) {
        const struct member *m = member_find(q, found.array.items[i].t->pid);
        if (!m || m->state != MEMBER_GONE)
            r = take_member(q, &found.array.items[i], wait || all);
    }
    *ret_wait = wait;
    return r;
}

int phases_take(struct request *q, const struct tree_choice *choice)
{
    struct tree tree = {.choice = choice, .tool = q->options->tool};
    struct crs_error error = {0};
    bool wait;
    int r = tree_freeze(&tree, q->deadline_us, &error);

    if (r < 0)
        r = request_fail_with(q, request_code(r, &error), &error);
    else
        r = phases_tell(q, &tree, true, &wait);
    tree_clear(&tree);
    return r;
}

/* ---- each on its way ---- */

/* 1: it is held. 0: it is gone. */
static int hold_and_read(struct request *q, struct member *m, struct tracee **ret,
                         struct cooperation *ret_block)
{
    int r = member_hold(q, m, ret);

    if (r < 0)
        return r == -ESRCH ? 0 : r;
    if (member_read(m, ret_block) == 0)
        return 1;
    m->state = MEMBER_GONE;
    return 0;
}

/* No critical section is held any more: the callbacks may begin. */
static int begin_callbacks(struct request *q, struct member *m)
{
    _cleanup_(cleanup_tracee) struct tracee *t = NULL;
    struct crs_error error = {0};
    struct cooperation block;
    int r = hold_and_read(q, m, &t, &block);

    if (r <= 0)
        return r;
    if (block.sections & ~COOPERATION_PENDING)
        return 0;
    m->takes_part = member_has_callbacks(m->inner_pid, &block);
    wake(m, t);
    find_runner(m, t, &block);
    m->state = m->takes_part ? MEMBER_CALLED : MEMBER_READY;
    if (m->takes_part && block.runner_tid) {
        m->state = MEMBER_RUNNER;
        r = MEMBER_PUT(t, m, phase, COOPERATION_RUNNER_PHASE, &error);
    }
    return r < 0 ? request_fail_with(q, request_code(r, &error), &error) : 0;
}

static int call_thread(struct request *q, struct member *m, struct tracee_thread *th,
                       const struct cooperation *block, struct crs_error *err)
{
    int r = tracee_inject(th, block->entry, block->restorer, m->block, err);

    if (r == -ENOSPC || r == -ENOTSUP) {
        request_warn(q, "thread %d of process %d runs no callbacks: %s", th->tid, m->pid,
                     err ? err->text : "");
        return 0;
    }
    if (r < 0)
        return r;
    pid_t *place = ARRAY_ADD(&m->called);
    if (!place)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    *place = th->tid;
    return 0;
}

/* Each thread but the runner is made to run its callbacks. */
static int call_threads(struct request *q, struct member *m)
{
    _cleanup_(cleanup_tracee) struct tracee *t = NULL;
    struct crs_error error = {0};
    struct cooperation block;
    int r = hold_and_read(q, m, &t, &block);

    if (r <= 0)
        return r;
    r = kobj_rseq_abort(t, &error);
    tracee_for_each_thread (t, th) {
        if (r == 0 && th->inner_tid != block.runner_tid)
            r = call_thread(q, m, th, &block, &error);
    }
    if (r == 0)
        r = MEMBER_PUT(t, m, expected, m->called.n, &error);
    if (r == 0)
        r = MEMBER_PUT(t, m, phase, COOPERATION_THREADS_PHASE, &error);
    m->state = m->called.n > 0 ? MEMBER_THREADS : MEMBER_READY;
    return r < 0 ? request_fail_with(q, request_code(r, &error), &error) : 0;
}

static bool thread_exists(pid_t pid, pid_t tid)
{
    return syscall(SYS_tgkill, pid, tid, 0) == 0 || errno != ESRCH;
}

/* A callback may end its thread, which nobody waits for any more. */
static int forget_ended_threads(struct request *q, struct member *m)
{
    _cleanup_(cleanup_tracee) struct tracee *t = NULL;
    struct crs_error error = {0};
    size_t n = 0;

    for (size_t i = 0; i < m->called.n; i++)
        if (thread_exists(m->pid, m->called.items[i]))
            m->called.items[n++] = m->called.items[i];
    if (n == m->called.n)
        return 0;
    m->called.n = n;
    int r = member_hold(q, m, &t);
    if (r < 0)
        return r == -ESRCH ? 0 : r;
    r = MEMBER_PUT(t, m, expected, n, &error);
    return r < 0 ? request_fail_with(q, request_code(r, &error), &error) : 0;
}

/* ---- what callbacks ask for ---- */

static int obey_abort(struct request *q, struct member *m, uint32_t wish)
{
    int code = wish >> 16;

    if (wish & COOPERATION_ABORT_PERMANENT) {
        q->kill = true;
        return request_fail(q, code ? code : CR_EPERMFAIL,
                            "a callback of process %d cancelled the checkpoint for good: all "
                            "processes are ended",
                            m->pid);
    }
    if (wish & COOPERATION_ABORT_TEMPORARY)
        return request_fail(q, code ? code : CR_ETEMPFAIL,
                            "a callback of process %d cancelled the checkpoint", m->pid);
    return outcome_omit(q, m);
}

/* ---- the loop ---- */

/* Are the runners of all on their way no longer? */
static bool all_called(const struct request *q)
{
    for (size_t i = 0; i < q->members.n; i++)
        if (q->members.items[i].state < MEMBER_CALLED)
            return false;
    return true;
}

/* It has ended, or become another program. One without callbacks is saved as what it is now. */
static int lost_block(struct request *q, struct member *m)
{
    bool ended = member_has_ended(m);

    if (!ended && m->takes_part)
        return drop(q, m);
    m->state = ended ? MEMBER_GONE : MEMBER_READY;
    m->block = 0;
    m->told = false;
    return 0;
}

static int step(struct request *q, struct member *m, bool called)
{
    struct cooperation block;

    if (m->block == 0 || m->state >= MEMBER_RELEASED)
        return 0;
    if (member_read(m, &block) < 0)
        return lost_block(q, m);
    if (m->takes_part && m->state >= MEMBER_RUNNER && block.rounds != m->rounds)
        return request_fail(q, ECANCELED, "process %d has given the checkpoint up", m->pid);
    if (block.abort && m->state >= MEMBER_RUNNER)
        return obey_abort(q, m, block.abort);
    if (block.forward == COOPERATION_FORWARD_ASKED)
        return forward_answer(q, m);
    switch (m->state) {
    case MEMBER_PENDING:
        return block.sections & ~COOPERATION_PENDING ? 0 : begin_callbacks(q, m);
    case MEMBER_RUNNER:
        if (block.runner == COOPERATION_ARRIVED)
            m->state = MEMBER_CALLED;
        return 0;
    case MEMBER_CALLED:
        if (called && block.flags & COOPERATION_WANTS_THREADS)
            return call_threads(q, m);
        if (called)
            m->state = MEMBER_READY;
        return 0;
    case MEMBER_THREADS:
        if (block.arrived >= m->called.n)
            m->state = MEMBER_READY;
        return m->state == MEMBER_READY ? 0 : forget_ended_threads(q, m);
    default:
        return 0;
    }
}

void phases_sleep(struct request *q, unsigned *sleep_us)
{
    const struct timespec time = {.tv_nsec = *sleep_us * 1000};
    ARRAY_OF(struct pollfd) ends = {0};

    for (size_t i = 0; i < q->members.n; i++) {
        const struct member *m = &q->members.items[i];
        struct pollfd *end =
            m->state < MEMBER_DONE && m->block && m->pidfd >= 0 ? ARRAY_ADD(&ends) : NULL;
        if (end && !member_has_ended(m))
            *end = (struct pollfd){.fd = m->pidfd, .events = POLLIN};
        else if (end)
            ends.n--;
    }
    ppoll(ends.items, ends.n, &time, NULL);
    free(ends.items);
    /* A fifth of what has been waited so far: it costs little, and nothing is seen much too late.
     */
    *sleep_us += *sleep_us / 4;
    *sleep_us = *sleep_us < LAST_SLEEP_US ? *sleep_us : LAST_SLEEP_US;
}

/* *ret: what of all of it stands where. */
struct progress {
    size_t n_left, n_ready;
    unsigned sum; /* of all states: it grows */
};

static void count_progress(const struct request *q, struct progress *ret)
{
    *ret = (struct progress){0};
    for (size_t i = 0; i < q->members.n; i++) {
        const struct member *m = &q->members.items[i];
        ret->sum += m->state;
        if (m->state == MEMBER_GONE || m->omitted)
            continue;
        ret->n_left++;
        ret->n_ready += m->state == MEMBER_READY;
    }
}

int phases_wait(struct request *q)
{
    unsigned sleep_us = FIRST_SLEEP_US;
    struct progress before, now;

    for (;;) {
        int r = request_check_time(q);
        bool called = all_called(q);
        count_progress(q, &before);
        for (size_t i = 0; r == 0 && i < q->members.n; i++)
            r = step(q, &q->members.items[i], called);
        if (r < 0)
            return r;
        count_progress(q, &now);
        if (now.n_left == 0)
            return request_fail(q, ESRCH, "none of the processes is left to be saved");
        if (now.n_ready == now.n_left)
            return 0;
        if (now.sum != before.sum)
            sleep_us = FIRST_SLEEP_US;
        phases_sleep(q, &sleep_us);
    }
}
