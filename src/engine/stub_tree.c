/* stub_tree.c - the stubs of all processes of a snapshot */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "engine/memory.h"
#include "engine/stub_terminal.h"
#include "engine/stub_tree.h"
#include "kobj/ring_room.h"
#include "kobj/thread_directory.h"

#define FORK_TRIES    8
#define KERNEL_SIGSET 8 /* bytes of the kernel's signal set */

struct making {
    struct stub_tree *tree;
    struct kobj_restore *ctx;
    const struct stub_tree_options *options;
};

static struct lineage_member *member(const struct stub_tree *tree, int i)
{
    return &tree->lineage.members.items[i];
}

/* A process that lives; helpers and those that have ended are gone when the tree stands. */
static bool lives(const struct lineage_member *m)
{
    return m->record && !m->record->zombie;
}

/* ---- one process ---- */

static const Crs__AddressSpace *space_of(const struct making *making,
                                         const struct lineage_member *m)
{
    const Crs__Process *p = lives(m) ? m->record : making->ctx->tree->processes[0];

    return memory_find_space(making->ctx->memory, p->address_space);
}

static pid_t wanted_pid(const struct making *making, const struct lineage_member *m)
{
    return making->options->choose_pids ? m->pid : 0;
}

static int make_started(struct making *making, int i, struct crs_error *err)
{
    const struct lineage_member *m = member(making->tree, i);
    const Crs__AddressSpace *space = space_of(making, m);
    struct stub_options options = {
        .exe_fd = -1,
        .name = lives(m) ? m->record->command : "crs-helper",
        .pid = wanted_pid(making, m),
        .service_fd = making->options->service_fd,
        .remote_service_fd = making->options->remote_service_fd,
        .keep_from = MEMORY_FD_BASE,
        .topmost = ring_room_is_below(making->ctx->memory),
    };

    int r = memory_open_exe(making->ctx, space, &options.exe_fd, err);
    if (r == 0)
        r = stub_start(&options, &making->tree->stubs[i], err);
    if (r == 0)
        making->tree->exe[i] = space->exe;
    cleanup_close(&options.exe_fd);
    return r;
}

/* The thread of the parent that has the child. */
static struct tracee_thread *thread_of(const struct making *making, const struct lineage_member *m)
{
    struct tracee *t = making->tree->stubs[m->maker];
    const Crs__Process *parent = member(making->tree, m->maker)->record;

    for (size_t i = 1; m->record && parent && i < parent->n_threads && i < t->n_threads; i++)
        if (m->record->parent_thread && parent->threads[i]->tid == m->record->parent_thread)
            return &t->threads[i];
    return tracee_main(t);
}

/* What the parent gets at its end. A helper of a group is seen by nobody, one of a session gives
 * its signal to its siblings. */
static int exit_signal_of(const struct lineage_member *m, int i)
{
    return m->record ? (int)m->record->exit_signal : m->session == i ? SIGCHLD : 0;
}

static int wait_remotely(struct tracee *parent, pid_t child, struct crs_error *err)
{
    return REMOTE_CHECKED(tracee_main(parent), NULL, err, CRS_FAILED, "wait for a helper",
                          SYS_wait4, child, 0, __WALL, 0);
}

/* Whether orphans below it become its children. parent -1: the caller. */
static int set_subreaper(struct stub_tree *tree, int parent, bool on, struct crs_error *err)
{
    if (parent >= 0)
        return REMOTE_CHECKED(tracee_main(tree->stubs[parent]), NULL, err, CRS_FAILED,
                              "make it a child subreaper", SYS_prctl, PR_SET_CHILD_SUBREAPER, on);
    if (prctl(PR_SET_CHILD_SUBREAPER, (unsigned long)on, 0, 0, 0) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't become a child subreaper");
    return 0;
}

/* What it shares with its maker, as flags of clone(2). */
static uint64_t shared_flags(const struct making *making, int i)
{
    static const uint64_t flags[KOBJ_N_SHARED] = {
        [KOBJ_MEMORY] = CLONE_VM,
        [KOBJ_DESCRIPTORS] = CLONE_FILES,
        [KOBJ_DIRECTORY] = CLONE_FS,
        [KOBJ_ACTIONS] = CLONE_SIGHAND,
    };
    const struct lineage_member *m = member(making->tree, i);
    uint64_t all = 0;

    for (unsigned what = 0; what < KOBJ_N_SHARED; what++)
        if (m->maker >= 0 && m->first[what] == member(making->tree, m->maker)->first[what])
            all |= flags[what];
    return all;
}

/* The process between the leader and the orphan must not have the orphan's ID. */
static int fork_between(struct tracee *leader, pid_t wanted, uint64_t flags, struct tracee **ret,
                        struct crs_error *err)
{
    for (int tries = 0; tries < FORK_TRIES; tries++) {
        int r = stub_fork(tracee_main(leader), 0, 0, flags, ret, err);
        if (r < 0 || (*ret)->pid != wanted)
            return r;
        pid_t pid = (*ret)->pid;
        stub_kill(*ret);
        tracee_free(TAKE_PTR(*ret));
        r = wait_remotely(leader, pid, err);
        if (r < 0)
            return r;
    }
    return crs_fail(err, CRS_BUSY, EAGAIN, "no free PID but %d", wanted);
}

static int fork_orphan(struct making *making, int i, struct crs_error *err)
{
    const struct lineage_member *m = member(making->tree, i);
    struct tracee *leader = making->tree->stubs[m->maker], *between = NULL;
    pid_t wanted = wanted_pid(making, m);
    uint64_t flags = shared_flags(making, i);
    int r = fork_between(leader, wanted, flags, &between, err);

    if (r < 0)
        return r;
    pid_t pid = between->pid;
    r = stub_fork(tracee_main(between), wanted, SIGCHLD, flags, &making->tree->stubs[i], err);
    if (r == 0)
        r = stub_end(between, 0, err);
    else
        stub_kill(between);
    tracee_free(between);
    return r < 0 ? r : wait_remotely(leader, pid, err);
}

static int make_orphan(struct making *making, int i, struct crs_error *err)
{
    const struct lineage_member *m = member(making->tree, i);
    int was = 0;

    if (m->parent < 0 && prctl(PR_GET_CHILD_SUBREAPER, &was, 0, 0, 0) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't ask for child subreapers");
    int r = set_subreaper(making->tree, m->parent, true, err);
    if (r == 0)
        r = fork_orphan(making, i, err);
    int back = set_subreaper(making->tree, m->parent, was, r == 0 ? err : NULL);
    return r < 0 ? r : back;
}

static int make_process(struct making *making, int i, struct crs_error *err)
{
    const struct lineage_member *m = member(making->tree, i);
    struct tracee **stub = &making->tree->stubs[i];
    pid_t pid = wanted_pid(making, m);
    int r;

    if (m->way == LINEAGE_STARTED)
        return make_started(making, i, err);
    if (m->way == LINEAGE_AS_ORPHAN)
        r = make_orphan(making, i, err);
    else if (m->way == LINEAGE_AS_SIBLING)
        r = stub_fork(tracee_main(making->tree->stubs[m->maker]), pid, 0,
                      CLONE_PARENT | shared_flags(making, i), stub, err);
    else
        r = stub_fork(thread_of(making, m), pid, exit_signal_of(m, i), shared_flags(making, i),
                      stub, err);
    if (r == 0)
        making->tree->exe[i] = making->tree->exe[m->maker];
    return r;
}

/* `ps` shows the name also of a process that has ended. */
static int set_name(struct tracee *t, const char *name, struct crs_error *err)
{
    char comm[16] = {0};
    int64_t result;

    snprintf(comm, sizeof(comm), "%s", name);
    return tracee_call_with_block(tracee_main(t), &result, err, SYS_prctl,
                                  (const uint64_t[6]){PR_SET_NAME}, 1, comm, NULL, sizeof(comm));
}

static int find_maker(const Crs__Process *p, size_t n, uint32_t tid, size_t *ret,
                      struct crs_error *err)
{
    for (size_t i = 1; i < n; i++)
        if (p->threads[i]->tid == tid) {
            *ret = i;
            return 0;
        }
    return crs_fail(err, CRS_DAMAGED, EBADMSG,
                    "it shares its working directory with thread %u, which isn't before it", tid);
}

/* By the first thread, or the one that it shares a working directory of its own with. */
static int add_thread(const struct making *making, struct tracee *t, const Crs__Process *p,
                      size_t k, struct crs_error *err)
{
    pid_t tid = making->options->choose_pids ? (pid_t)p->threads[k]->tid : 0;
    uint32_t shares_with;
    size_t maker = 0;
    bool own;
    int r = thread_directory_find(p->threads[k], &own, &shares_with, err);

    if (r == 0 && shares_with)
        r = find_maker(p, k, shares_with, &maker, err);
    if (r == 0)
        r = stub_add_thread(t, maker, tid, err);
    if (r == 0 && own && !shares_with)
        r = REMOTE_CHECKED(&t->threads[k], NULL, err, CRS_FAILED, "give it a directory of its own",
                           SYS_unshare, CLONE_FS);
    return r;
}

/* From number *k on: how many in a row are made by the first thread, and have its directory. */
static size_t count_plain(const Crs__Process *p, size_t k)
{
    uint32_t shares_with;
    size_t n = 0;
    bool own;

    for (; k + n < p->n_threads; n++)
        if (thread_directory_find(p->threads[k + n], &own, &shares_with, NULL) < 0 || own ||
            shares_with)
            break;
    return n;
}

static int add_next_threads(const struct making *making, struct tracee *t, const Crs__Process *p,
                            size_t *k, struct crs_error *err)
{
    size_t n = count_plain(p, *k), first = *k;
    _cleanup_free_ pid_t *tids = calloc(n + 1, sizeof(*tids));
    int r;

    if (!tids)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a list of threads");
    *k += n > 0 ? n : 1;
    for (size_t i = 0; i < n; i++)
        tids[i] = p->threads[first + i]->tid;
    if (n > 0)
        return stub_add_threads(t, making->options->choose_pids ? tids : NULL, n, err);
    r = add_thread(making, t, p, first, err);
    return r < 0 ? crs_fail_at(err, r, "thread %u", p->threads[first]->tid) : 0;
}

/* A copy of a stub of the right executable needs no exec of its own. */
static int become(struct making *making, int i, struct crs_error *err)
{
    const struct lineage_member *m = member(making->tree, i);
    struct tracee *t = making->tree->stubs[i];
    const Crs__AddressSpace *space = space_of(making, m);
    int r = 0;

    if (!lives(m))
        return 0;
    /* The kernel gives who executes something descriptors of its own. */
    if (making->tree->exe[i] != space->exe && m->first[KOBJ_DESCRIPTORS] != i)
        return crs_fail(err, CRS_CANT_RESTART, ENOTSUP,
                        "process %d shares its descriptors with one of another executable: that "
                        "can't be made again",
                        m->pid);
    if (making->tree->exe[i] != space->exe)
        r = stub_exec(t, memory_exe_number(making->ctx, space), m->record->command, err);
    making->tree->exe[i] = space->exe;
    for (size_t k = 1; r == 0 && k < m->record->n_threads;)
        r = add_next_threads(making, t, m->record, &k, err);
    if (r == 0 && m->record->threads[0]->exited)
        r = set_name(t, m->record->command, err);
    return r;
}

/* ---- steps ---- */

static int take_step(struct making *making, const struct lineage_step *step, struct crs_error *err)
{
    const struct lineage_member *m = member(making->tree, step->member);
    struct tracee **stubs = making->tree->stubs, *t = stubs[step->member];
    int r = 0;

    switch (step->event) {
    case LINEAGE_MAKE:
        r = make_process(making, step->member, err);
        if (r == 0)
            r = become(making, step->member, err);
        break;
    case LINEAGE_SESSION:
        r = REMOTE_CHECKED(tracee_main(t), NULL, err, CRS_FAILED, "start a session", SYS_setsid);
        if (r == 0)
            r = stub_terminal_take(making->tree, making->ctx, step->member, err);
        break;
    case LINEAGE_GROUP:
        r = REMOTE_CHECKED(tracee_main(t), NULL, err, CRS_FAILED, "make a process group",
                           SYS_setpgid, 0, 0);
        break;
    case LINEAGE_JOIN:
        r = REMOTE_CHECKED(tracee_main(t), NULL, err, CRS_FAILED, "join a process group",
                           SYS_setpgid, 0, stubs[m->group]->pid);
        break;
    }
    return r < 0 ? crs_fail_at(err, r, "process %d", m->pid) : 0;
}

/* ---- those that don't stay ---- */

static void add_stray(struct stub_tree *tree, int parent, int signal)
{
    if (parent >= 0 && signal >= 1 && signal <= 64)
        tree->stray[parent] |= 1ULL << (signal - 1);
}

static int end_member(struct stub_tree *tree, int i, struct crs_error *err)
{
    const struct lineage_member *m = member(tree, i);
    struct tracee *t = tree->stubs[i];
    pid_t pid = t->pid;
    int r = 0;

    if (m->record)
        r = set_name(t, m->record->command, err);
    if (r == 0)
        r = stub_end(t, m->record ? m->record->exit_status : 0, err);
    if (r < 0)
        return crs_fail_at(err, r, "process %d", m->pid);
    tracee_free(TAKE_PTR(tree->stubs[i]));
    add_stray(tree, m->parent, exit_signal_of(m, i));
    if (m->way != LINEAGE_FORKED)
        add_stray(tree, m->parent, SIGCHLD);
    return m->record || m->parent < 0 ? 0 : wait_remotely(tree->stubs[m->parent], pid, err);
}

/* Helpers first: their parents may be among those that have ended. */
static int end_members(struct stub_tree *tree, struct crs_error *err)
{
    int r = 0;

    for (size_t i = tree->lineage.members.n; r == 0 && i-- > 0;)
        if (!lives(member(tree, i)))
            r = end_member(tree, i, err);
    return r;
}

/* ---- the interface ---- */

int stub_tree_make(struct stub_tree *tree, struct kobj_restore *ctx,
                   const struct stub_tree_options *options, struct crs_error *err)
{
    struct making making = {tree, ctx, options};
    int r = lineage_plan(ctx->tree, &options->lineage, &tree->lineage, err);

    if (r < 0)
        return r;
    size_t n = tree->lineage.members.n;
    tree->n_processes = ctx->tree->n_processes;
    tree->stubs = calloc(n, sizeof(*tree->stubs));
    tree->exe = calloc(n, sizeof(*tree->exe));
    tree->stray = calloc(n, sizeof(*tree->stray));
    if (!tree->stubs || !tree->exe || !tree->stray)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a tree of processes");
    for (size_t i = 0; r == 0 && i < tree->lineage.steps.n; i++)
        r = take_step(&making, &tree->lineage.steps.items[i], err);
    if (r == 0)
        r = stub_terminals_give(tree, ctx, err);
    return r < 0 ? r : end_members(tree, err);
}

/* To ignore a signal empties the queue of it, also where it is blocked. */
int stub_tree_drop_stray(struct stub_tree *tree, size_t i, struct crs_error *err)
{
    struct {
        uint64_t handler, flags, restorer, mask;
    } ignore = {.handler = (uintptr_t)SIG_IGN}, standard = {.handler = (uintptr_t)SIG_DFL};
    struct tracee_thread *th = tracee_main(tree->stubs[i]);
    int64_t result;
    int r = 0;

    for (int signal = 1; r == 0 && signal <= 64; signal++) {
        const uint64_t args[6] = {signal, 0, 0, KERNEL_SIGSET};
        if (!(tree->stray[i] >> (signal - 1) & 1))
            continue;
        r = tracee_call_with_block(th, &result, err, SYS_rt_sigaction, args, 1, &ignore, NULL,
                                   sizeof(ignore));
        if (r == 0)
            r = tracee_call_with_block(th, &result, err, SYS_rt_sigaction, args, 1, &standard, NULL,
                                       sizeof(standard));
    }
    return r;
}

int stub_tree_stop(struct stub_tree *tree, size_t i, bool reported, struct crs_error *err)
{
    const struct lineage_member *m = member(tree, i);
    struct tracee *t = tree->stubs[i];
    int64_t result;
    int r = stub_stop(t, err);

    if (r < 0 || m->parent < 0)
        return r;
    add_stray(tree, m->parent, SIGCHLD);
    if (!reported)
        return 0;
    return REMOTE(tracee_main(tree->stubs[m->parent]), &result, err, SYS_waitid, P_PID, t->pid, 0,
                  WSTOPPED | WNOHANG | __WALL, 0);
}

/* What is left of one whose parent was killed with it becomes ours, where we are a subreaper. */
void stub_tree_kill(struct stub_tree *tree)
{
    size_t n = tree->stubs ? tree->lineage.members.n : 0;

    for (size_t i = 0; i < n; i++)
        if (tree->stubs[i])
            kill(tree->stubs[i]->pid, SIGKILL);
    for (size_t i = n; i-- > 0;)
        stub_kill(tree->stubs[i]);
    for (size_t i = 0; i < n; i++)
        if (tree->stubs[i])
            waitpid(tree->stubs[i]->pid, NULL, WNOHANG | __WALL);
}

void stub_tree_clear(struct stub_tree *tree)
{
    for (size_t i = 0; tree->stubs && i < tree->lineage.members.n; i++)
        tracee_free(tree->stubs[i]);
    free(tree->stubs);
    free(tree->exe);
    free(tree->stray);
    lineage_clear(&tree->lineage);
    *tree = (struct stub_tree){0};
}
