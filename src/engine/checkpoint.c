/*
 * checkpoint.c - the order of events of a checkpoint
 *
 * Check, prepare, freeze, collect, dump, thaw, finish, publish. Until the snapshot is published
 * nothing of the program is given up; a failure at any point lets it go on as it was.
 *
 * The work is done in a thread of its own: what ptrace holds ends with the thread, so even a
 * failure in the middle of the freeze leaves no thread of the program behind.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/io.h"
#include "base/priority.h"
#include "base/slice.h"
#include "base/thread.h"
#include "engine/checkpoint.h"
#include "engine/checkpoint_writer.h"
#include "engine/collect.h"
#include "engine/freeze_how.h"
#include "engine/increment.h"
#include "engine/lineage.h"
#include "engine/manifest_info.h"
#include "engine/memory_session.h"
#include "engine/namespaces.h"
#include "engine/options.h"
#include "engine/pace.h"
#include "engine/sharing.h"
#include "engine/stream_end.h"
#include "store/store.h"
#include "tracee/sandbox.h"

#define END_TIME_US    (5 * 1000000)
#define N_MORE_TRIES   6
#define FIRST_SLEEP_US (10 * 1000)
#define LAST_SLEEP_US  (1000 * 1000)
#define LIMITED_BYTES  (1u << 20)
#define FDS_TO_HOLD_IT 4 /* a process */

struct checkpoint {
    pid_t pid;
    const struct crs_checkpoint_options *options;
    struct checkpoint_request *request;
    struct crs_checkpoint_result result;
    uint64_t started_us, deadline_us;
    uint64_t stop_us; /* how long the freeze took */
    bool own_thread;

    struct store_writer *writer;
    struct tree members;
    struct memory_set *address_spaces;
    struct kobj_dump ctx;
    Crs__Tree *tree;
    Crs__Files *files;
    Crs__Memory *memory;
    struct crs_error doubt; /* why it isn't copied ahead of the freeze; kind 0: it may be */

    int ret;
    struct crs_error err;
};

static void tell(const struct checkpoint *c, const char *phase)
{
    if (c->options->progress)
        c->options->progress(&(struct crs_progress){.phase = phase}, c->options->progress_arg);
}

/* Has the caller given up, or the time run out? */
static int check_time(const struct checkpoint *c, struct crs_error *err)
{
    if (c->options->cancel && *c->options->cancel)
        return crs_fail(err, CRS_FAILED, ECANCELED,
                        "the checkpoint was cancelled; process %d goes on", c->pid);
    if (c->deadline_us && now_us() > c->deadline_us)
        return crs_fail(err, CRS_TIMED_OUT, ETIMEDOUT,
                        "the checkpoint did not finish within %d ms; process %d goes on unharmed",
                        c->options->timeout_ms, c->pid);
    return 0;
}

/* ---- the freeze ---- */

/* The next checkpoint will share with this one, if this one can be shared with. */
static void use_session(struct checkpoint *c)
{
    const struct crs_checkpoint_options *o = c->options;

    if (o->form == CRS_FORM_DIRECTORY && !o->stream_fd && !o->full &&
        o->afterwards != CRS_TERMINATE)
        memory_set_use(c->address_spaces, c->request->session);
    else if (c->request->session)
        memory_session_clear(c->request->session); /* its marks would be in the way */
}

static int may_wait(const void *checkpoint, struct crs_error *err)
{
    return check_time(checkpoint, err);
}

/* What the session knows is read from now on. */
static int begin_memory(struct checkpoint *c, struct crs_error *err)
{
    int r = memory_set_new(&c->address_spaces, err);

    if (r < 0)
        return r;
    if (c->options->nice)
        memory_be_nice(c->address_spaces);
    use_session(c);
    return memory_prepare_known(c->address_spaces, err);
}

/* The slow reading that can be done while they run. Who can't be read now may be gone when they are
 * frozen, or is refused then in words. What stands under a filter that isn't known is refused
 * now. */
static int prepare_all(struct checkpoint *c, struct crs_error *err)
{
    _cleanup_tree_founds_ struct tree_founds founds = {0};
    int waited = 0, r = tree_list(&c->members, &founds, err);
    uint64_t n_descriptors = 0;

    for (size_t i = 0; r == 0 && i < founds.array.n; i++)
        r = sandbox_check(founds.array.items[i].pid, err);
    if (r == 0 && c->options->stream_fd)
        r = stream_end_check(c->options->stream_fd, &founds, err);
    for (size_t i = 0; i < founds.array.n; i++)
        n_descriptors += descriptors_of(founds.array.items[i].pid) + FDS_TO_HOLD_IT;
    descriptors_make_room(n_descriptors);
    for (size_t i = 0; r >= 0 && i < founds.array.n; i++) {
        r = tracee_check_group(founds.array.items[i].pid, err);
        if (r < 0)
            break;
        kobj_prepare(&c->ctx, founds.array.items[i].pid);
        if (founds.array.items[i].tool || founds.array.items[i].left_out)
            continue;
        r = memory_prepare_whole(c->address_spaces, &c->ctx, founds.array.items[i].pid, may_wait, c,
                                 err);
        waited |= r > 0;
    }
    return r < 0 ? r : waited;
}

static int prepare(struct checkpoint *c, struct crs_error *err)
{
    int r;

    do /* who was waited for may have children by now */
        r = prepare_all(c, err);
    while (r > 0);
    return r;
}

/* What comes now is done while the program runs, by a thread that ends with it. */
static void lower_priority(const struct checkpoint *c)
{
    if (c->options->nice && c->own_thread && c->options->afterwards == CRS_CONTINUE &&
        !c->request->held_until_safe)
        priority_lower();
}

/* The processes that are held, for those who needn't know of others. */
static int begin_dump(struct checkpoint *c, struct crs_error *err)
{
    _cleanup_free_ struct tracee **held = calloc(c->members.members.n, sizeof(*held));
    size_t n = 0;

    if (!held)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; i < c->members.members.n; i++) {
        const struct tree_member *member = &c->members.members.items[i];
        if (member->t)
            held[n++] = member->t;
        if (member->tool)
            c->ctx.tool = member->pid;
    }
    c->ctx.t = held[0];
    for (size_t i = 0; i < n; i++)
        c->result.n_threads += held[i]->n_threads;
    c->result.n_processes = c->members.members.n;
    /* Before anything is asked in them. */
    int r = kobj_check_namespaces(held[0], err);
    if (r < 0)
        return r;
    unsigned apart = namespaces_apart(held[0]->proc_fd);
    c->ctx.own_ipc = apart & NAMESPACE_IPC;
    c->ctx.own_net = apart & NAMESPACE_NET;
    r = namespaces_record(apart, c->tree, err);
    return r == 0 ? kobj_dump_begin(&c->ctx, held, n, err) : r;
}

/* Processes that share something: can they come about again? */
static int check_sharing(const Crs__Tree *tree, struct crs_error *err)
{
    const struct lineage_options options = {0};
    struct lineage lineage = {0};

    if (!sharing_is_there(tree))
        return 0;
    int r = lineage_plan(tree, &options, &lineage, err);
    lineage_clear(&lineage);
    if (r < 0 && err)
        err->kind = CRS_CANT_CHECKPOINT;
    return r;
}

static int collect(struct checkpoint *c, struct crs_error *err)
{
    int r = begin_dump(c, err);

    if (r == 0)
        r = kobj_find_sharing(&c->ctx, err);
    if (r == 0)
        r = collect_clocks(&c->ctx, err);
    if (r == 0)
        r = collect_tree(&c->members, &c->ctx, c->address_spaces, c->tree, err);
    if (r == 0)
        r = check_sharing(c->tree, err);
    c->tree->monotonic_ns = c->ctx.monotonic_ns;
    c->tree->boottime_ns = c->ctx.boottime_ns;
    c->tree->realtime_ns = c->ctx.realtime_ns;
    return r == 0 ? collect_files(&c->ctx, &c->files, err) : r;
}

static int run_hook(struct checkpoint *c, checkpoint_hook hook, struct crs_error *err)
{
    return hook ? hook(&c->members, c->request->arg, err) : 0;
}

/* All the times that they were stopped. */
static void set_pause(struct checkpoint *c)
{
    uint64_t longest = 0, held = memory_held_us(c->address_spaces, &longest);

    c->result.pause_us = c->stop_us + held;
    c->result.longest_stop_us = c->stop_us > longest ? c->stop_us : longest;
}

/* Where the thread is our own: while the program runs it goes before us, and the other way round
 * while it waits for us. */
static void take_turn(const struct checkpoint *c, uint64_t slice_ns)
{
    if (c->own_thread)
        slice_change(slice_ns);
}

/* From the first interrupt to the thaw. With CRS_CONTINUE it goes on at the end of this. */
static int take(struct checkpoint *c, struct crs_error *err)
{
    tell(c, "freeze");
    int r = tree_freeze(&c->members, c->deadline_us, err);
    for (size_t i = 0; r == 0 && i < c->members.members.n; i++)
        if (c->members.members.items[i].t)
            memory_held_again(c->address_spaces, c->members.members.items[i].t);
    if (r == 0)
        r = run_hook(c, c->request->frozen, err);
    if (r == 0)
        r = collect(c, err);
    if (r == 0)
        r = check_time(c, err);
    if (r == 0)
        r = freeze_fork_rest(c->request, c->address_spaces, &c->members, &c->doubt, err);
    if (r == 0) {
        pace_warn(c->options, c->address_spaces);
        tell(c, "memory");
        r = memory_dump(c->address_spaces, &c->ctx, c->options->cancel, c->deadline_us, err);
    }
    if (r == 0)
        r = run_hook(c, c->request->copied, err);
    if (r < 0)
        return r;
    if (c->options->afterwards == CRS_CONTINUE && !c->request->held_until_safe)
        r = tree_thaw(&c->members, false, err);
    c->stop_us = now_us() - c->members.frozen_at_us;
    set_pause(c);
    c->result.freeze = memory_is_forked(c->address_spaces) ? CRS_FREEZE_FORK
                       : memory_is_live(c->address_spaces) ? CRS_FREEZE_LIVE
                                                           : CRS_FREEZE_STOP;
    return r;
}

/* ---- the snapshot ---- */

static int write_records(struct checkpoint *c, struct crs_error *err)
{
    if (!c->ctx.terminate && !c->request->held_until_safe)
        memory_untrack_begin(c->address_spaces);
    int r = memory_fork_dump(c->address_spaces, &c->ctx, c->options->cancel, c->deadline_us, err);
    memory_fork_end(c->address_spaces);
    if (r == 0)
        r = memory_finish(c->address_spaces, &c->ctx, &c->memory, err);
    sharing_reduce(c->tree);
    if (r == 0)
        r = store_put_record(c->writer, "tree", &c->tree->base, err);
    if (r == 0)
        r = store_put_record(c->writer, "files", &c->files->base, err);
    if (r == 0)
        r = store_put_record(c->writer, "memory", &c->memory->base, err);
    return r;
}

static void note_new_bytes(struct checkpoint *c)
{
    uint64_t linked = store_writer_linked_bytes(c->writer);

    c->result.new_bytes = c->result.size_bytes - linked;
    if (linked > 0)
        return;
    free(c->result.base); /* nothing of it was of use */
    c->result.base = NULL;
}

static int publish(struct checkpoint *c, struct crs_error *err)
{
    uint64_t stored;
    json_t *info;

    int r = write_records(c, err);
    if (r == 0)
        r = check_time(c, err);
    if (r == 0)
        r = manifest_info(c->tree, &info, err);
    if (r < 0)
        return r;
    if (c->options->key_file)
        manifest_info_conceal(info);
    json_object_set_new(info, "pause_us", json_integer(c->result.pause_us));
    json_object_set_new(info, "longest_stop_us", json_integer(c->result.longest_stop_us));
    if (c->result.name) {
        json_object_set_new(info, "name", json_string(c->result.name));
    }
    if (c->result.base)
        json_object_set_new(info, "base", json_string(c->result.base));
    store_writer_sizes(c->writer, &c->result.memory_bytes, &stored);
    tell(c, "sync");
    r = store_writer_publish(c->writer, info, &c->result.size_bytes, err);
    if (r == 0)
        note_new_bytes(c);
    return r;
}

/*
 * The parent sees the end only when the tracer has seen each thread's. The leader's is left for the
 * parent, which may be another thread of this very process.
 */
static void wait_for_end(struct tracee *t, uint64_t until)
{
    siginfo_t info;
    int status;

    for (size_t i = 1; i < t->n_threads; i++)
        while (tracee_wait(t->threads[i].tid, until, &status) == 0 && WIFSTOPPED(status))
            ;
    while (now_us() < until) {
        info.si_pid = 0;
        if (waitid(P_PID, t->pid, &info, WEXITED | WNOWAIT | WNOHANG | __WALL | __WNOTHREAD) < 0 ||
            info.si_pid)
            return;
        usleep(200);
    }
}

/* None of them runs an instruction any more: all stand still. */
static int kill_all(struct checkpoint *c, struct crs_error *err)
{
    uint64_t until = now_us() + END_TIME_US;

    for (size_t i = 0; i < c->ctx.members.n; i++) {
        struct tracee *t = c->ctx.members.items[i].t;
        if (syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
            return crs_fail_errno(err, CRS_FAILED,
                                  "the snapshot %s is safe, but process %d can't be killed",
                                  c->result.path, t->pid);
        t->frozen = false; /* nothing is left to be let go */
    }
    for (size_t i = 0; i < c->ctx.members.n; i++)
        wait_for_end(c->ctx.members.items[i].t, until);
    kobj_dump_ended(&c->ctx);
    return 0;
}

/* The snapshot is safe: end or stop the program if that was asked for. */
static int afterwards(struct checkpoint *c, struct crs_error *err)
{
    int r = run_hook(c, c->request->safe, err);

    if (r < 0)
        return r;
    switch (c->options->afterwards) {
    case CRS_STOP:
        return tree_thaw(&c->members, true, err);
    case CRS_TERMINATE:
        return kill_all(c, err);
    case CRS_CONTINUE:
        break;
    }
    return tree_thaw(&c->members, false, err);
}

static int run(struct checkpoint *c, struct crs_error *err)
{
    bool chosen = c->request->choice != NULL;
    int r = chosen ? 0 : tracee_check(c->pid, err);
    c->members.adopter = !chosen && c->options->scope == CRS_TREE ? tree_find_adopter(c->pid) : 0;
    c->ctx.progress = c->options->progress;
    c->ctx.progress_arg = c->options->progress_arg;
    if (r == 0)
        r = begin_memory(c, err);
    if (r == 0)
        r = checkpoint_open_writer(c->pid, c->options, c->deadline_us, &c->result, &c->writer, err);
    if (r == 0)
        r = increment_begin(c->options, c->result.name, c->writer, &c->result.base, err);
    if (r == 0)
        r = prepare(c, err);
    if (r < 0)
        return r;
    c->ctx.writer = c->writer;
    c->ctx.tcp_policy = c->options->tcp;
    c->ctx.terminate = c->options->afterwards == CRS_TERMINATE;
    c->ctx.unix_policy = c->options->unix_sockets;
    c->ctx.pipes_policy = c->options->pipes;
    c->ctx.save_files = c->options->save_files;
    c->ctx.left_out_fd = c->request->stream_left_out ? c->options->stream_fd : 0;
    c->ctx.tell_closed = c->request->tell_closed;
    c->doubt = (struct crs_error){0};
    take_turn(c, SLICE_LONG_NS);
    r = freeze_copy_ahead(c->request, c->address_spaces, &c->ctx, c->deadline_us, &c->doubt, err);
    if (c->request->session) /* of processes that have no part in this */
        memory_session_clear(c->request->session);
    if (r == 0)
        r = check_time(c, err);
    take_turn(c, SLICE_SHORTEST_NS);
    if (r == 0)
        r = take(c, err);
    take_turn(c, SLICE_LONG_NS);
    if (r == 0)
        lower_priority(c);
    if (r == 0)
        r = publish(c, err);
    if (r == 0)
        pace_note_memory(c->address_spaces, c->writer, &c->result);
    if (r == 0)
        r = afterwards(c, err);
    if (r == 0)
        memory_session_keep(c->address_spaces, c->memory, c->result.path);
    return r;
}

/* Everything of a try that failed. */
static void forget(struct checkpoint *c)
{
    kobj_dump_clear(&c->ctx);
    memory_set_free(c->address_spaces);
    c->address_spaces = NULL;
    store_writer_free(c->writer);
    c->writer = NULL;
    if (c->result.name) /* not handed over: it failed */
        store_drop_path(c->result.path);
    if (c->tree)
        crs__tree__free_unpacked(c->tree, NULL);
    c->tree = NULL;
    if (c->files)
        crs__files__free_unpacked(c->files, NULL);
    c->files = NULL;
    if (c->memory)
        crs__memory__free_unpacked(c->memory, NULL);
    c->memory = NULL;
    crs_checkpoint_result_clear(&c->result);
}

static int run_once(struct checkpoint *c, struct crs_error *err)
{
    c->tree = malloc(sizeof(*c->tree));
    if (!c->tree)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__tree__init(c->tree);
    c->members.frozen_at_us = 0; /* the pause is that of the last try */
    int r = run(c, err);
    tree_clear(&c->members);
    memory_fork_end(c->address_spaces);
    if (c->address_spaces)
        memory_untrack(c->address_spaces);
    if (r < 0 || c->options->afterwards != CRS_TERMINATE)
        memory_collapse(c->address_spaces, c->options->cancel);
    if (r == 0)
        set_pause(c);
    return r;
}

/* May it be tried again, after that sleep? Who gives a time gives it for this as well. */
static bool may_try_again(const struct checkpoint *c, int tries, unsigned sleep_us)
{
    if (c->ret != -EAGAIN || (c->err.kind != CRS_CANT_CHECKPOINT && c->err.kind != CRS_BUSY) ||
        check_time(c, NULL) < 0)
        return false;
    if (c->writer && store_writer_has_begun(c->writer))
        return false;
    return c->deadline_us ? now_us() + sleep_us < c->deadline_us : tries < N_MORE_TRIES;
}

/* What is in the way for a moment only (-EAGAIN: a connection that the program is about to accept,
 * a thread on its way back from a tool that was killed) is most often gone when it was let go on.
 */
static void run_tries(struct checkpoint *c)
{
    unsigned sleep_us = FIRST_SLEEP_US;

    c->ret = run_once(c, &c->err);
    for (int tries = 0; may_try_again(c, tries, sleep_us); tries++) {
        usleep(sleep_us);
        forget(c);
        c->ret = run_once(c, &c->err);
        sleep_us = 2 * sleep_us < LAST_SLEEP_US ? 2 * sleep_us : LAST_SLEEP_US;
    }
}

static void *run_in_thread(void *arg)
{
    prctl(PR_SET_TIMERSLACK, 1); /* its naps of 50 us, until a thread has stopped, are that long */
    run_tries(arg);
    return NULL;
}

/* ---- the interface ---- */

static void begin(struct checkpoint *c)
{
    c->members = (struct tree){.root = c->pid,
                               .scope = c->options->scope,
                               .tool = c->options->tool,
                               .choice = c->request->choice};
    c->started_us = now_us();
    if (c->options->timeout_ms > 0)
        c->deadline_us = c->started_us + c->options->timeout_ms * 1000ull;
}

static int finish(struct checkpoint *c, struct crs_checkpoint_result *ret, struct crs_error *err)
{
    if (c->ret < 0 && err)
        *err = c->err;
    if (c->ret == 0) {
        c->result.total_us = now_us() - c->started_us;
        if (ret)
            *ret = c->result;
        else
            crs_checkpoint_result_clear(&c->result);
        c->result = (struct crs_checkpoint_result){0};
    }
    forget(c);
    return c->ret;
}

int checkpoint_run(pid_t pid, struct checkpoint_request *request, struct crs_checkpoint_result *ret,
                   struct crs_error *err)
{
    struct checkpoint c = {.pid = pid, .options = request->options, .request = request};
    uint64_t own_limit = 0;
    int r = request->choice ? 0 : checkpoint_check_pid(pid, request->options, err);

    if (r == 0)
        r = checkpoint_check_options(request->options, err);
    if (r == 0)
        r = descriptors_reserve(&own_limit, err);
    if (r < 0)
        return r;
    begin(&c);
    run_tries(&c);
    r = finish(&c, ret, err);
    descriptors_give_back(own_limit);
    return r;
}

int checkpoint_in_session(pid_t pid, const struct crs_checkpoint_options *options,
                          struct memory_session *session, struct crs_checkpoint_result *ret,
                          struct crs_error *err)
{
    struct crs_checkpoint_options own = CRS_CHECKPOINT_OPTIONS_INIT;
    struct checkpoint_request request = {.options = &own, .session = session};
    struct checkpoint c = {.pid = pid, .options = &own, .request = &request, .own_thread = true};
    uint64_t own_limit = 0;
    pthread_t thread;

    int r = options_take(&own, sizeof(own), options, CHECKPOINT_OPTIONS_FIRST_SIZE, err);
    if (r == 0)
        r = checkpoint_check_pid(pid, &own, err);
    if (r == 0)
        r = checkpoint_check_options(&own, err);
    if (r == 0)
        r = descriptors_reserve(&own_limit, err);
    if (r < 0)
        return r;
    descriptors_make_room(descriptors_of(pid));
    begin(&c);
    r = thread_start(&thread, false, run_in_thread, &c);
    if (r > 0) {
        forget(&c);
        descriptors_give_back(own_limit);
        return crs_fail(err, CRS_FAILED, r, "can't start a thread: %s", strerror(r));
    }
    pthread_join(thread, NULL);
    r = finish(&c, ret, err);
    descriptors_give_back(own_limit);
    return r;
}

int crs_checkpoint(pid_t pid, const struct crs_checkpoint_options *options,
                   struct crs_checkpoint_result *ret, struct crs_error *err)
{
    return checkpoint_in_session(pid, options, NULL, ret, err);
}

void crs_checkpoint_result_clear(struct crs_checkpoint_result *result)
{
    free(result->path);
    free(result->name);
    free(result->base);
    *result = (struct crs_checkpoint_result){0};
}
