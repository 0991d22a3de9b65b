/*
 * checkpoint.c - the order of events of a request
 *
 * Find the targets and ask whether they may be had; where somebody has callbacks, hold all for a
 * moment to tell them, and wait until they have come to their barrier; save them; let them go on;
 * wait until the callbacks have come to their end. Where nobody has any, the freeze in which they
 * are saved is the only one. It is for that freeze to decide: a callback may have been registered
 * meanwhile, and then they are told, and saved in the next.
 *
 * What ptrace holds ends with the thread that holds it: the work is done in one of its own, or in a
 * process that has nothing else to do.
 */
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "base/thread.h"
#include "engine/cooperation.h"
#include "engine/memory.h"
#include "libcr.h"
#include "requests/request.h"

#define HOLD_TIME_US (10 * 1000000)
#define N_FREEZES    100 /* of processes that have something new to wait for in each */

/* ---- what all need ---- */

int request_check_time(struct request *q)
{
    if (q->options->cancel && *q->options->cancel)
        return request_fail(q, ECANCELED, "the checkpoint was cancelled; all processes go on");
    if (q->deadline_us && now_us() > q->deadline_us)
        return request_fail(q, ETIMEDOUT,
                            "the checkpoint did not finish within %u s; all processes go on",
                            q->options->timeout_s);
    return 0;
}

uint64_t request_hold_until(const struct request *q)
{
    uint64_t until = now_us() + HOLD_TIME_US;

    return q->deadline_us && q->deadline_us < until ? q->deadline_us : until;
}

void request_accept(struct request *q, int error)
{
    if (!q->has_accepted && q->accepted)
        q->accepted(error, q->accepted_arg);
    q->has_accepted = true;
}

static void on_progress(const struct crs_progress *progress, void *arg)
{
    struct request *q = arg;

    if (progress->warning)
        request_warn(q, "%s", progress->warning);
    if (q->options->progress)
        q->options->progress(progress, q->options->progress_arg);
}

/* ---- in the freeze ---- */

static bool has_callbacks(const struct request *q)
{
    for (size_t i = 0; i < q->members.n; i++) {
        const struct member *m = &q->members.items[i];
        if (m->takes_part && m->state != MEMBER_GONE && !m->omitted)
            return true;
    }
    return false;
}

/* What is saved of those without callbacks is a block at rest: a restart has nothing to do there.
 */
static int put_to_rest(struct request *q, struct tree *tree, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < tree->members.n; i++) {
        struct tracee *t = tree->members.items[i].t;
        struct member *m = t ? member_find(q, t->pid) : NULL;
        if (!m || m->takes_part || !m->told)
            continue;
        r = cooperation_put_back_in(t, m->block, err);
        m->told = false;
    }
    return r;
}

static size_t n_living(struct tracee *t)
{
    size_t n = 0;

    tracee_for_each_thread (t, th)
        n++;
    return n;
}

/* Do all threads of all of them wait at the barrier, where nothing goes on before the context is
 * safe? Then there is no use in letting them go, only to hold them once more. */
static bool all_wait(struct request *q, struct tree *tree)
{
    for (size_t i = 0; i < tree->members.n; i++) {
        struct tracee *t = tree->members.items[i].t;
        const struct member *m = t ? member_find(q, t->pid) : NULL;
        if (t && (!m || !m->takes_part || t->group_stopped ||
                  n_living(t) != m->called.n + (m->runner_tid != 0)))
            return false;
    }
    return true;
}

static int on_frozen(struct tree *tree, void *arg, struct crs_error *err)
{
    struct request *q = arg;
    bool wait;
    int r = phases_tell(q, tree, false, &wait);

    if (r < 0) /* with words of its own */
        return crs_fail(err, CRS_OK, -r, "%s", "");
    q->again = wait;
    if (wait)
        return crs_fail(err, CRS_OK, EAGAIN, "%s", "");
    r = put_to_rest(q, tree, err);
    if (r < 0)
        return r;
    q->request->held_until_safe = has_callbacks(q) ? all_wait(q, tree) : q->options->signal != 0;
    request_accept(q, 0);
    return 0;
}

static int on_copied(struct tree *tree, void *arg, struct crs_error *err)
{
    struct request *q = arg;

    (void)err;
    for (size_t i = 0; i < tree->members.n; i++) {
        struct tracee *t = tree->members.items[i].t;
        struct member *m = t ? member_find(q, t->pid) : NULL;
        if (m && !m->takes_part)
            m->state = MEMBER_DONE;
    }
    return 0;
}

/* NULL: it goes on already. */
static struct tracee *held(const struct tree *tree, pid_t pid)
{
    const struct tree_member *member = tree_find_member(tree, pid);

    return member && member->t && member->t->frozen ? member->t : NULL;
}

/* Who asked for itself alone can see by itself when its callbacks have ended. */
static void tell_ending(struct request *q, const struct member *m)
{
    if (!q->options->ending || q->members.n != 1 || m->pid != q->requester ||
        m->state != MEMBER_RELEASED || m->told_failed || m->was_stopped ||
        q->options->signal != 0 || q->own_fd >= 0)
        return;
    fflush(q->log_file);
    const struct requests_result result = {.log = q->log_size > 0 ? q->log : NULL,
                                           .n_processes = 1};
    q->options->ending(&result, m->rounds, q->accepted_arg);
}

/* Callbacks learn the outcome when there is nothing left that could fail: what was written may not
 * have reached the context's file, or whoever reads it. */
static int on_safe(struct tree *tree, void *arg, struct crs_error *err)
{
    struct request *q = arg;
    int r = q->options->safe ? q->options->safe(q->accepted_arg, err) : 0;

    if (r < 0)
        return r;
    q->saved = true;
    for (size_t i = 0; i < q->members.n; i++) {
        struct member *m = &q->members.items[i];
        if (m->takes_part && m->state == MEMBER_READY) {
            outcome_saved(q, m, held(tree, m->pid));
            if (held(tree, m->pid))
                tell_ending(q, m);
        } else if (m->state == MEMBER_DONE && !m->takes_part) {
            outcome_signal(q, m);
        }
    }
    return 0;
}

/* A process that a callback forks isn't part of the request. */
static bool belongs(const struct tree_found *found, void *arg)
{
    struct request *q = arg;
    const struct member *parent = member_find(q, found->parent);

    if (!parent || !parent->takes_part || member_find(q, found->pid))
        return true;
    return parent->called.n == 0 && found->parent_thread != 0 &&
           found->parent_thread != parent->runner_tid;
}

/* ---- saving ---- */

static void set_options(struct request *q, struct crs_checkpoint_options *o)
{
    const struct requests_checkpoint_options *given = q->options;
    unsigned files = given->flags & CR_CHKPT_DUMP_ALL;

    o->stream_fd = q->stream_fd;
    o->output = q->stream_fd ? NULL : given->output;
    o->form = q->stream_fd ? CRS_FORM_DIRECTORY : given->form;
    o->tool = given->tool;
    o->compress = given->compress;
    o->cancel = given->cancel;
    o->progress = on_progress;
    o->progress_arg = q;
    o->tcp = CRS_TCP_CLOSE;
    o->unix_sockets = CRS_UNIX_CLOSE;
    o->pipes = CRS_PIPES_GIVE;
    o->save_files = (files & CR_CHKPT_DUMP_EXEC ? CRS_SAVE_EXECUTABLE : 0) |
                    (files & CR_CHKPT_DUMP_PRIVATE ? CRS_SAVE_PRIVATE : 0) |
                    (files & CR_CHKPT_DUMP_SHARED ? CRS_SAVE_SHARED : 0);
    if (q->deadline_us) {
        uint64_t now = now_us();
        uint64_t left_ms = now < q->deadline_us ? (q->deadline_us - now) / 1000 + 1 : 1;
        o->timeout_ms = left_ms < INT_MAX ? (int)left_ms : INT_MAX;
    }
}

static int save(struct request *q)
{
    struct crs_checkpoint_options options = CRS_CHECKPOINT_OPTIONS_INIT;
    const struct tree_choice choice = {.roots = q->roots.items,
                                       .n_roots = q->roots.n,
                                       .omitted = q->omitted.items,
                                       .n_omitted = q->omitted.n,
                                       .belongs = belongs,
                                       .arg = q};
    struct checkpoint_request request = {.options = &options,
                                         .choice = &choice,
                                         .frozen = on_frozen,
                                         .copied = on_copied,
                                         .safe = on_safe,
                                         .stream_left_out = true,
                                         .tell_closed = true,
                                         .arg = q};
    struct crs_checkpoint_result result = {0};
    struct crs_error error = {0};

    set_options(q, &options);
    q->again = false;
    q->request = &request;
    int r = checkpoint_run(q->roots.items[0].id, &request, &result, &error);
    q->request = NULL;
    if (q->again)
        return 0;
    if (r < 0 && error.kind == CRS_OK)
        return r;
    if (r < 0)
        return request_fail_with(q, request_code(r, &error), &error);
    q->result->n_processes = result.n_processes;
    q->result->size_bytes = result.size_bytes;
    q->result->pause_us = result.pause_us;
    crs_checkpoint_result_clear(&result);
    return 0;
}

/* ---- the order of events ---- */

static int take(struct request *q)
{
    const struct tree_choice choice = {.roots = q->roots.items,
                                       .n_roots = q->roots.n,
                                       .omitted = q->omitted.items,
                                       .n_omitted = q->omitted.n};
    size_t n = 0;
    int r = targets_survey(q, &choice, &n);

    if (r < 0)
        return r;
    if (n == 0)
        return request_fail(q, ESRCH, "there is no process that the request is for");
    if (!q->has_called)
        return 0;
    const struct tree_choice left = {.roots = q->roots.items,
                                     .n_roots = q->roots.n,
                                     .omitted = q->omitted.items,
                                     .n_omitted = q->omitted.n};
    r = phases_take(q, &left);
    if (r == 0)
        request_accept(q, 0);
    return r == 0 ? phases_wait(q) : r;
}

static int find_root(struct request *q)
{
    const struct requests_checkpoint_options *o = q->options;
    struct tree_root root;
    int r = targets_root(q, o->scope, o->target, &root);

    if (r < 0)
        return r;
    struct tree_root *place = ARRAY_ADD(&q->roots);
    if (!place)
        return request_fail(q, ENOMEM, "out of memory");
    *place = root;
    q->target = root.id;
    return 0;
}

static int check_options(struct request *q)
{
    const unsigned known = CR_CHKPT_PROHIBIT_SELF | CR_CHKPT_PTRACED_ALLOW | CR_CHKPT_PTRACED_SKIP |
                           CR_CHKPT_PTRACER_SKIP | CR_CHKPT_ASYNC_ERR | CR_CHKPT_DUMP_ALL |
                           REQUEST_ANY;

    if (q->options->flags & ~known)
        return request_fail(q, EINVAL, "unknown flags in a request: %#x",
                            q->options->flags & ~known);
    if (abs(q->options->signal) > 64)
        return request_fail(q, EINVAL, "%d is no signal", q->options->signal);
    return 0;
}

static int save_all(struct request *q)
{
    int r = take(q);

    for (int i = 0; r == 0 && i < N_FREEZES; i++) {
        r = save(q);
        if (r < 0 || !q->again)
            return r;
        request_accept(q, 0);
        r = phases_wait(q);
    }
    return r < 0
               ? r
               : request_fail(q, EBUSY, "there is always somebody new with something to wait for");
}

static int run_request(struct request *q)
{
    int r = check_options(q);

    if (r == 0)
        r = find_root(q);
    if (r == 0 && q->options->flags & CR_CHKPT_ASYNC_ERR)
        request_accept(q, 0);
    if (r == 0)
        r = destination_open(q);
    if (r < 0)
        return r;
    r = save_all(q);
    if (q->kill)
        outcome_kill_all(q);
    else if (r < 0)
        outcome_fail_all(q, -r);
    int ended = outcome_wait(q, r == -ETIMEDOUT || r == -ECANCELED);
    destination_close(q, r == 0);
    return r < 0 ? r : ended;
}

static void *run_in_thread(void *arg)
{
    struct request *q = arg;

    prctl(PR_SET_TIMERSLACK, 1); /* it looks every 20 us whether the callbacks are done */
    int r = run_request(q);
    q->result->error = -r;
    request_accept(q, -r);
    return NULL;
}

/* ---- the interface ---- */

static void clear(struct request *q)
{
    for (size_t i = 0; i < q->members.n; i++)
        member_clear(&q->members.items[i]);
    free(q->members.items);
    free(q->roots.items);
    free(q->omitted.items);
}

static void take_log(struct request *q, struct requests_result *ret)
{
    if (q->log_file)
        fclose(q->log_file);
    if (q->log_size == 0)
        free(TAKE_PTR(q->log));
    ret->log = TAKE_PTR(q->log);
}

int requests_checkpoint(const struct requests_checkpoint_options *options,
                        struct requests_result *ret, void (*accepted)(int error, void *arg),
                        void *arg)
{
    struct request q = {.options = options,
                        .result = ret,
                        .accepted = accepted,
                        .accepted_arg = arg,
                        .own_fd = -1,
                        .directory_fd = -1,
                        .requester = options->requester ? options->requester : getpid()};
    pthread_t thread;

    *ret = (struct requests_result){0};
    q.log_file = open_memstream(&q.log, &q.log_size);
    if (options->timeout_s)
        q.deadline_us = now_us() + options->timeout_s * 1000000ull;
    int r = options->here ? 0 : thread_start(&thread, false, run_in_thread, &q);
    if (r == 0 && options->here) {
        cooperation_forget_files(); /* of the request before */
        memory_late_keep();
        run_in_thread(&q);
    } else if (r == 0) {
        pthread_join(thread, NULL);
    } else {
        ret->error = r;
        request_fail(&q, r, "can't start a thread: %s", strerror(r));
        request_accept(&q, r);
    }
    take_log(&q, ret);
    clear(&q);
    return ret->error ? -1 : 0;
}

void requests_result_clear(struct requests_result *result)
{
    free(result->log);
    *result = (struct requests_result){0};
}
