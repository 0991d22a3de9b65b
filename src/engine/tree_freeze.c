/* tree_freeze.c - hold all processes of a tree, and let them go */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "engine/tree.h"
#include "kobj/dispatch.h"
#include "kobj/kobj.h"
#include "kobj/rseq.h"
#include "proc/stat.h"
#include "proc/status.h"

#define FREEZE_TRIES   8
#define FREEZE_TIME_US (10 * 1000000) /* for one process to stand still, and once for all */
#define MORE_TIME_US   50000          /* for each process that was held */

static uint64_t earlier(uint64_t time_us, uint64_t deadline_us)
{
    return deadline_us && deadline_us < time_us ? deadline_us : time_us;
}

/* ---- one process ---- */

static int read_stat(pid_t pid, struct proc_stat *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int r = read_record(-1, path, 4096, &text);
    return r < 0 ? r : proc_stat_parse((const char *)text.data, ret);
}

/* Are its children to be left alone, whatever they are? */
static bool is_alone(const struct tree *tree)
{
    const struct tree_choice *choice = tree->choice;

    return choice ? choice->n_roots == 1 && choice->roots[0].scope == CRS_ONLY
                  : tree->scope == CRS_ONLY;
}

static int freeze_process(struct tree *tree, pid_t pid, uint64_t deadline_us, struct tracee **ret,
                          struct crs_error *err)
{
    size_t place = 0;
    _cleanup_(cleanup_tracee) struct tracee *t = NULL;
    int r = 0;

    /* A thread may still be on its way back from a call of a tool that was killed. */
    for (int tries = 0; tries < FREEZE_TRIES; tries++) {
        r = tracee_freeze(pid, deadline_us, &t, err);
        if (r == 0)
            r = tree_memory_find(tree, t, &place, err);
        if (r == 0) /* before any call in it */
            r = tree_memory_check(tree, t, is_alone(tree), err);
        if (r == 0)
            r = kobj_dispatch_check(t, err);
        if (r == 0) /* likewise: the kernel would forget the sequence */
            r = kobj_rseq_abort(t, err);
        if (r == 0)
            r = tracee_prepare_calls(t, err);
        if (r != -EAGAIN)
            break;
        tracee_free(TAKE_PTR(t));
        usleep(1000 << tries);
    }
    if (r == 0)
        r = tree_memory_add(tree, t, place, err);
    if (r == 0)
        *ret = TAKE_PTR(t);
    return r;
}

static int read_status(pid_t pid, struct proc_status *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    int r = read_record(-1, path, 1 << 20, &text);
    return r < 0 ? r : proc_status_parse((const char *)text.data, ret);
}

/* Is `pid` (any thread of it) a member, or one of its ancestors? */
static bool comes_from(const struct tree *tree, pid_t pid)
{
    _cleanup_proc_status_ struct proc_status status = {0};
    struct proc_stat stat = {0};

    if (read_status(pid, &status) < 0)
        return false;
    for (pid = status.tgid; pid > 1; pid = stat.parent) {
        if (tree_find_member(tree, pid))
            return true;
        if (read_stat(pid, &stat) < 0)
            return false;
    }
    return false;
}

/* A process that can't be held because another one of the tree is its debugger stays so, however
 * often one tries. */
static int explain_refusal(const struct tree *tree, pid_t pid, int r, struct crs_error *err)
{
    _cleanup_proc_status_ struct proc_status status = {0};

    if (r != -EBUSY || read_status(pid, &status) < 0 || status.tracer == 0 ||
        !comes_from(tree, status.tracer))
        return r;
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "process %d is traced by process %d, a debugger that belongs to the same "
                    "tree: that can't be saved; let the debugger detach before the checkpoint",
                    pid, status.tracer);
}

/* ---- the tree ---- */

static int add_member(struct tree *tree, const struct tree_found *found, struct tracee *t,
                      struct crs_error *err)
{
    struct tree_member *member = tree_take_found(tree, found);

    if (!member) {
        tracee_free(t);
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of processes");
    }
    member->t = t;
    if (t && (!tree->frozen_at_us || t->frozen_at_us < tree->frozen_at_us))
        tree->frozen_at_us = t->frozen_at_us;
    return 0;
}

/* Hold it, if there's something to hold. */
static int take_in(struct tree *tree, struct tree_found *found, uint64_t deadline_us,
                   struct crs_error *err)
{
    struct tracee *t = NULL;
    struct proc_stat stat;

    tree_judge(tree, found);
    if (found->tool || found->left_out)
        return add_member(tree, found, NULL, err);
    int r =
        freeze_process(tree, found->pid, earlier(now_us() + FREEZE_TIME_US, deadline_us), &t, err);
    if (r == 0)
        return add_member(tree, found, t, err);
    if (!tree->choice && found->pid == tree->root)
        return r;
    /* It may have ended meanwhile; then its parent, which stands still, has not waited for it, or
     * is nobody who would. */
    int gone = read_stat(found->pid, &stat);
    if (gone == -ENOENT || gone == -ESRCH || (gone == 0 && stat.state == 'X'))
        return 0;
    if (gone == 0 && stat.state == 'Z' && stat.threads <= 1)
        return add_member(tree, found, NULL, err);
    return explain_refusal(tree, found->pid, r, err);
}

/* One pass; *ret_n: how many were new, even if they are gone by now. */
static int take_in_new(struct tree *tree, enum tree_how how, size_t from, uint64_t deadline_us,
                       size_t *ret_n, struct crs_error *err)
{
    _cleanup_tree_founds_ struct tree_founds founds = {0};
    int r = tree_find_new(tree, how, from, &founds, err);

    for (size_t i = 0; r == 0 && i < founds.array.n; i++) {
        struct tree_found *found = &founds.array.items[i];
        struct tree_member *member = tree_find_member(tree, found->pid);
        if (!member)
            r = take_in(tree, found, deadline_us, err);
        else if (!member->left_out)
            member->whole |= found->whole;
    }
    *ret_n = founds.array.n;
    return r;
}

/* ---- what they are to each other, now that nothing changes ---- */

/* One that had ended, and that somebody who doesn't stand still (a supervisor, init) has waited for
 * since, isn't put in order. */
static int settle_member(struct tree *tree, struct tree_member *member, struct tree_founds *order,
                         struct crs_error *err)
{
    struct proc_stat stat;
    int r = read_stat(member->pid, &stat);

    if (!member->t && (r == -ENOENT || r == -ESRCH))
        return 0;
    struct tree_found *place = r < 0 ? NULL : ARRAY_ADD(&order->array);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't read /proc/%d/stat: %s", member->pid,
                        strerror(-r));
    if (!place)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of processes");
    if (member->parent != stat.parent)
        member->parent_thread = 0; /* found before its parent stood still, and adopted since */
    member->parent = stat.parent;
    member->group = stat.group;
    member->session = stat.session;
    member->exit_signal = stat.exit_signal;
    *place = (struct tree_found){.pid = member->pid, .parent = member->parent};
    return 0;
}

static const struct tree_member *held_parent(const struct tree *tree,
                                             const struct tree_member *member)
{
    const struct tree_member *parent = tree_find_member(tree, member->parent);

    return parent && parent->t ? parent : NULL;
}

static pid_t topmost_ancestor(const struct tree *tree)
{
    const struct tree_member *member = tree_find_member(tree, tree->root), *parent;

    for (size_t i = 0; i < tree->members.n && (parent = held_parent(tree, member)); i++)
        member = parent;
    return member->pid;
}

/* The root, then parents before their children. Who has ended and has nobody here to wait for it
 * leaves no trace. */
static int put_in_order(struct tree *tree, const struct tree_founds *order, struct crs_error *err)
{
    struct tree sorted = {0};
    pid_t root = topmost_ancestor(tree);

    for (size_t i = 0; i <= order->array.n; i++) {
        pid_t pid = i == 0 ? root : order->array.items[i - 1].pid;
        if (i > 0 && pid == root)
            continue;
        struct tree_member *from = tree_find_member(tree, pid);
        if (!from->t && !held_parent(tree, from))
            continue;
        struct tree_member *to = tree_add_member(&sorted, pid);
        if (!to) {
            tree_forget_members(&sorted);
            return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of processes");
        }
        *to = *from;
        to->depth = i == 0 ? 0 : order->array.items[i - 1].depth;
    }
    tree_forget_members(tree);
    tree->members = sorted.members;
    tree->places = sorted.places;
    return 0;
}

/* The first that is held. */
static int choose_root(struct tree *tree, const struct tree_founds *order, struct crs_error *err)
{
    for (size_t i = 0; i < order->array.n; i++) {
        tree->root = order->array.items[i].pid;
        if (tree_find_member(tree, tree->root)->t)
            return 0;
    }
    return crs_fail(err, CRS_NOT_FOUND, ESRCH, "none of the processes is left");
}

static int settle(struct tree *tree, struct crs_error *err)
{
    _cleanup_tree_founds_ struct tree_founds order = {0};
    int r = 0;

    if (!tree->choice && !tree_find_member(tree, tree->root))
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d has ended", tree->root);
    for (size_t i = 0; r == 0 && i < tree->members.n; i++)
        if (!tree->members.items[i].left_out)
            r = settle_member(tree, &tree->members.items[i], &order, err);
    if (r < 0)
        return r;
    tree_founds_sort(&order);
    if (tree->choice)
        r = choose_root(tree, &order, err);
    return r == 0 ? put_in_order(tree, &order, err) : r;
}

int tree_freeze(struct tree *tree, uint64_t deadline_us, struct crs_error *err)
{
    enum tree_how how = tree_how(tree);
    /* The list of a process that stands still has all its children. A scan is not of one moment,
     * and who takes orphans in, or is left out, doesn't stand still. */
    bool restless = how == TREE_BY_SCAN || tree->adopter || tree->choice;
    int clean = 0, wanted = restless ? 2 : 1;
    uint64_t started_us = now_us();
    size_t n_new, from = 0;

    while (clean < wanted) {
        size_t n_before = tree->members.n;
        int r = take_in_new(tree, how, from, deadline_us, &n_new, err);
        if (r < 0)
            return r;
        clean = n_new == 0 && (from == 0 || clean > 0) ? clean + 1 : 0;
        /* First the children of the new ones, generation by generation, then all once more; and
         * then only what was taken in meanwhile, as all members stand still. */
        from = how == TREE_BY_SCAN ? 0 : n_new > 0 ? n_before : clean > 0 ? tree->members.n : 0;
        uint64_t until = started_us + FREEZE_TIME_US + tree->members.n * MORE_TIME_US;
        if (clean < wanted && now_us() > earlier(until, deadline_us))
            return crs_fail(err, CRS_TIMED_OUT, ETIMEDOUT,
                            "process %d and its like start processes faster than they can be "
                            "stopped (%zu so far); all go on unharmed",
                            tree->root, tree->members.n);
    }
    return settle(tree, err);
}

/* Those first whose calls are made in the place of another's. */
int tree_undo(struct tree *tree, struct crs_error *err)
{
    int r = 0;

    for (int sharers = 1; sharers >= 0; sharers--)
        for (size_t i = 0; i < tree->members.n; i++) {
            struct tracee *t = tree->members.items[i].t;
            bool now = t && t->frozen && (t->memory_of != NULL) == sharers;
            int x = now ? tracee_undo_all(t, r == 0 ? err : NULL) : 0;
            if (r == 0)
                r = x;
        }
    return r;
}

int tree_thaw(struct tree *tree, bool stopped, struct crs_error *err)
{
    int r = tree_undo(tree, err);

    for (size_t i = 0; i < tree->members.n; i++) {
        struct tracee *t = tree->members.items[i].t;
        int x = t ? tracee_thaw(t, stopped, r == 0 ? err : NULL) : 0;
        if (r == 0)
            r = x;
    }
    return r;
}

void tree_clear(struct tree *tree)
{
    tree_thaw(tree, false, NULL);
    for (size_t i = 0; i < tree->members.n; i++)
        tracee_free(tree->members.items[i].t);
    tree_forget_members(tree);
    free(tree->memories.items);
    memset(&tree->memories, 0, sizeof(tree->memories));
}
