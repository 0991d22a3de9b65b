/* tree_find.c - which processes belong to a tree, a process group or a session */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "engine/tree.h"
#include "kobj/supervisor_mark.h"
#include "proc/children.h"
#include "proc/stat.h"
#include "proc/status.h"

#define LIST_PASSES 64 /* generations that are looked for in a tree that runs */

void tree_founds_clear(struct tree_founds *founds)
{
    free(founds->array.items);
    *founds = (struct tree_founds){0};
}

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of processes");
}

static int add(struct tree_founds *founds, pid_t pid, pid_t parent, pid_t thread,
               struct crs_error *err)
{
    struct tree_found *found = ARRAY_ADD(&founds->array);

    if (!found)
        return out_of_memory(err);
    *found = (struct tree_found){.pid = pid, .parent = parent, .parent_thread = thread};
    return 0;
}

enum tree_how tree_how(const struct tree *tree)
{
    char path[64];

    if (tree->scope == CRS_GROUP || tree->scope == CRS_SESSION)
        return TREE_BY_SCAN;
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
    return access(path, F_OK) == 0 ? TREE_BY_CHILDREN : TREE_BY_SCAN;
}

/* ---- by each thread's list ---- */

static int add_children_of(const struct tree *tree, pid_t pid, const char *thread, bool adopted,
                           struct tree_founds *ret, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_free_ pid_t *children = NULL;
    char path[300];
    size_t n = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, thread);
    int r = read_file(AT_FDCWD, path, 64u << 20, &text);
    if (r == -ENOENT || r == -ESRCH)
        return 0; /* it has ended */
    if (r == 0)
        r = proc_children_parse((const char *)text.data, &children, &n);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't read %s: %s", path, strerror(-r));
    for (size_t i = 0; r == 0 && i < n; i++)
        if (!tree_find_member(tree, children[i]))
            r = add(ret, children[i], pid, adopted ? 0 : atoi(thread), err);
    return r;
}

static int add_children(const struct tree *tree, pid_t pid, struct tree_founds *ret,
                        struct crs_error *err)
{
    char path[40];
    int r = 0;

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    _cleanup_closedir_ DIR *dir = opendir(path);
    if (!dir)
        return 0; /* it has ended */
    for (struct dirent *e; r == 0 && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            r = add_children_of(tree, pid, e->d_name, false, ret, err);
    return r;
}

static int find_children(const struct tree *tree, size_t from, struct tree_founds *ret,
                         struct crs_error *err)
{
    char thread[16];
    int r = 0;

    if (tree->members.n == 0)
        return add(ret, tree->root, 0, 0, err);
    for (size_t i = from; r == 0 && tree->scope != CRS_ONLY && i < tree->members.n; i++)
        if (!tree->members.items[i].tool)
            r = add_children(tree, tree->members.items[i].pid, ret, err);
    if (r == 0 && tree->adopter) {
        snprintf(thread, sizeof(thread), "%d", tree->adopter);
        r = add_children_of(tree, tree->adopter, thread, true, ret, err);
    }
    return r;
}

/* ---- who takes orphans in ---- */

pid_t tree_find_adopter(pid_t root)
{
    struct supervisor_found above = {.proc_fd = -1};
    _cleanup_proc_status_ struct proc_status status = {0};
    _cleanup_bytes_ struct bytes text = {0};
    char path[40];

    if (supervisor_above(root, &above) < 0)
        return 0;
    close(above.proc_fd);
    snprintf(path, sizeof(path), "/proc/%d/status", root);
    if (read_file(AT_FDCWD, path, 1 << 20, &text) < 0 ||
        proc_status_parse((const char *)text.data, &status) < 0)
        return 0;
    return status.parent == above.pid && status.inner_tgid == above.program ? above.pid : 0;
}

/* ---- by a scan of all ---- */

static int read_stat(const char *pid, struct proc_stat *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[300];

    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    int r = read_file(AT_FDCWD, path, 4096, &text);
    return r < 0 ? r : proc_stat_parse((const char *)text.data, ret);
}

/* What a process must have to belong. */
struct wanted {
    const struct tree *tree;
    pid_t group, session;
};

static bool belongs(const struct wanted *w, const struct proc_stat *stat)
{
    const struct tree_member *parent;

    switch (w->tree->scope) {
    case CRS_GROUP:
        return stat->group == w->group;
    case CRS_SESSION:
        return stat->session == w->session;
    case CRS_ONLY:
        return stat->pid == w->tree->root;
    case CRS_TREE:
        break;
    }
    parent = tree_find_member(w->tree, stat->parent);
    return stat->pid == w->tree->root || (parent && !parent->tool) ||
           (w->tree->adopter && stat->parent == w->tree->adopter);
}

static int scan(const struct tree *tree, struct tree_founds *ret, struct crs_error *err)
{
    _cleanup_closedir_ DIR *dir = opendir("/proc");
    struct wanted wanted = {.tree = tree};
    struct proc_stat stat;
    char root[16];
    int r = 0;

    if (!dir)
        return crs_fail_errno(err, CRS_FAILED, "can't read /proc");
    snprintf(root, sizeof(root), "%d", tree->root);
    if (read_stat(root, &stat) < 0)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "there is no process %d", tree->root);
    wanted.group = stat.group;
    wanted.session = stat.session;
    for (struct dirent *e; r == 0 && (e = readdir(dir));)
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && read_stat(e->d_name, &stat) == 0 &&
            belongs(&wanted, &stat) && !tree_find_member(tree, stat.pid))
            r = add(ret, stat.pid, stat.parent, 0, err);
    return r;
}

/* ---- parents first ---- */

static int compare_pids(const void *a, const void *b)
{
    const struct tree_found *x = a, *y = b;

    return (x->pid > y->pid) - (x->pid < y->pid);
}

static int compare_depths(const void *a, const void *b)
{
    const struct tree_found *x = a, *y = b;

    if (x->depth != y->depth)
        return x->depth < y->depth ? -1 : 1;
    return compare_pids(a, b);
}

/* How many of its ancestors are there. Items are sorted by PID. */
static unsigned count_ancestors(const struct tree_found *items, size_t n, pid_t parent)
{
    const struct tree_found *found;
    struct tree_found key = {.pid = parent};
    unsigned depth = 0;

    /* No more than n: what a scan sees at different moments might form a ring. */
    while (depth < n && (found = bsearch(&key, items, n, sizeof(*items), compare_pids))) {
        key.pid = found->parent;
        depth++;
    }
    return depth;
}

void tree_founds_sort(struct tree_founds *founds)
{
    struct tree_found *items = founds->array.items;
    size_t n = founds->array.n;

    if (n < 2)
        return;
    qsort(items, n, sizeof(*items), compare_pids);
    for (size_t i = 0; i < n; i++)
        items[i].depth = count_ancestors(items, n, items[i].parent);
    qsort(items, n, sizeof(*items), compare_depths);
}

int tree_find_new(const struct tree *tree, enum tree_how how, size_t from, struct tree_founds *ret,
                  struct crs_error *err)
{
    _cleanup_tree_founds_ struct tree_founds founds = {0};
    int r =
        how == TREE_BY_SCAN ? scan(tree, &founds, err) : find_children(tree, from, &founds, err);

    if (r < 0)
        return r;
    if (how == TREE_BY_SCAN)
        tree_founds_sort(&founds);
    *ret = founds;
    founds = (struct tree_founds){0};
    return 0;
}

/* ---- of a tree that runs ---- */

/* Members of the copy are processes that run: nothing is held. */
static int take_in(struct tree *copy, const struct tree_founds *founds, struct crs_error *err)
{
    for (size_t i = 0; i < founds->array.n; i++) {
        const struct tree_found *found = &founds->array.items[i];
        if (tree_find_member(copy, found->pid))
            continue; /* its parent has ended meanwhile: it is another one's now */
        struct tree_member *member = tree_add_member(copy, found->pid);
        if (!member)
            return out_of_memory(err);
        member->parent = found->parent;
        member->tool = found->pid == copy->tool || found->pid == getpid();
    }
    return 0;
}

int tree_list(const struct tree *tree, struct tree_founds *ret, struct crs_error *err)
{
    struct tree copy = {
        .root = tree->root, .scope = tree->scope, .tool = tree->tool, .adopter = tree->adopter};
    _cleanup_tree_founds_ struct tree_founds all = {0};
    enum tree_how how = tree_how(tree);
    size_t from = 0;
    int r = 0;

    for (int pass = 0; r == 0 && pass < LIST_PASSES; pass++) {
        _cleanup_tree_founds_ struct tree_founds founds = {0};
        r = tree_find_new(&copy, how, from, &founds, err);
        if (r == 0 && founds.array.n == 0)
            break;
        from = copy.members.n;
        if (r == 0)
            r = take_in(&copy, &founds, err);
    }
    for (size_t i = 0; r == 0 && i < copy.members.n; i++)
        if (!copy.members.items[i].tool)
            r = add(&all, copy.members.items[i].pid, copy.members.items[i].parent, 0, err);
    tree_forget_members(&copy);
    if (r < 0)
        return r;
    *ret = all;
    all = (struct tree_founds){0};
    return 0;
}
