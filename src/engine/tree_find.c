/* tree_find.c - which processes belong to a tree, a process group or a session */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "engine/lazy_mark.h"
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

static int add(struct tree_founds *founds, const struct tree_found *one, struct crs_error *err)
{
    struct tree_found *found = ARRAY_ADD(&founds->array);

    if (!found)
        return out_of_memory(err);
    *found = *one;
    return 0;
}

static bool needs_scan(enum crs_scope scope)
{
    return scope == CRS_GROUP || scope == CRS_SESSION;
}

enum tree_how tree_how(const struct tree *tree)
{
    const struct tree_choice *choice = tree->choice;
    char path[64];

    if (!choice && needs_scan(tree->scope))
        return TREE_BY_SCAN;
    for (size_t i = 0; choice && i < choice->n_roots; i++)
        if (needs_scan(choice->roots[i].scope))
            return TREE_BY_SCAN;
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
    return access(path, F_OK) == 0 ? TREE_BY_CHILDREN : TREE_BY_SCAN;
}

/* ---- more than one root ---- */

/* It is a member that is found to be more than what it was taken for. */
static bool is_more(const struct tree_member *member, bool whole)
{
    return whole && !member->whole && !member->left_out;
}

static bool is_left_out(const struct tree_choice *choice, pid_t pid)
{
    if (pid == getpid())
        return true;
    for (size_t i = 0; i < choice->n_omitted; i++)
        if (choice->omitted[i] == pid)
            return true;
    return false;
}

static bool is_root(const struct tree_choice *choice, pid_t pid)
{
    for (size_t i = 0; i < choice->n_roots; i++)
        if (choice->roots[i].id == pid && !needs_scan(choice->roots[i].scope))
            return true;
    return false;
}

/* What makes checkpoints that a program asks for of itself, and waits a moment for the next one: it
 * belongs to nobody, wherever it has been adopted. */
static bool makes_requests(pid_t pid)
{
    const char name[] = "/crs-request";
    char path[40], exe[PATH_MAX];

    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    ssize_t n = readlink(path, exe, sizeof(exe) - 1);
    if (n <= 0)
        return false;
    exe[n] = 0;
    char *deleted = strstr(exe, " (deleted)");
    if (deleted)
        *deleted = 0;
    n = (ssize_t)strlen(exe) - (ssize_t)strlen(name);
    return n >= 0 && strcmp(exe + n, name) == 0;
}

void tree_judge(const struct tree *tree, struct tree_found *found)
{
    const struct tree_choice *choice = tree->choice;

    found->tool = found->pid == tree->tool || (!choice && found->pid == getpid());
    if (!found->tool && found->pid != tree->root && makes_requests(found->pid)) {
        found->left_out = true;
        found->whole = false;
        return;
    }
    if (!choice || found->tool)
        return;
    found->left_out = is_left_out(choice, found->pid);
    if (found->left_out || !choice->belongs || is_root(choice, found->pid) ||
        choice->belongs(found, choice->arg))
        return;
    found->left_out = true;
    found->whole = false;
}

struct tree_member *tree_take_found(struct tree *tree, const struct tree_found *found)
{
    struct tree_member *member = tree_add_member(tree, found->pid);

    if (!member)
        return NULL;
    member->parent = found->parent;
    member->parent_thread = found->parent_thread;
    member->tool = found->tool;
    member->whole = found->whole;
    member->left_out = found->left_out;
    return member;
}

static int add_roots(const struct tree *tree, struct tree_founds *ret, struct crs_error *err)
{
    const struct tree_choice *choice = tree->choice;
    int r = 0;

    if (!choice)
        return add(ret, &(struct tree_found){.pid = tree->root}, err);
    for (size_t i = 0; r == 0 && i < choice->n_roots; i++)
        r = add(ret,
                &(struct tree_found){.pid = choice->roots[i].id,
                                     .whole = choice->roots[i].scope == CRS_TREE},
                err);
    return r;
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
    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct tree_member *member = tree_find_member(tree, children[i]);
        const struct tree_found found = {.pid = children[i],
                                         .parent = pid,
                                         .parent_thread = adopted ? 0 : atoi(thread),
                                         .whole = tree->choice != NULL};
        if (adopted && lazy_mark_is_at(children[i]))
            continue;
        if (!member || is_more(member, found.whole))
            r = add(ret, &found, err);
    }
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

static bool brings_children(const struct tree *tree, const struct tree_member *member)
{
    return !member->tool && (tree->choice ? member->whole : tree->scope != CRS_ONLY);
}

static int find_children(const struct tree *tree, size_t from, struct tree_founds *ret,
                         struct crs_error *err)
{
    char thread[16];
    int r = 0;

    if (tree->members.n == 0)
        return add_roots(tree, ret, err);
    for (size_t i = from; r == 0 && i < tree->members.n; i++)
        if (brings_children(tree, &tree->members.items[i]))
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
    _cleanup_proc_status_ struct proc_status status = {0};
    struct supervisor_found above = {.proc_fd = -1};
    _cleanup_bytes_ struct bytes text = {0};
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/status", root);
    if (read_file(AT_FDCWD, path, 1 << 20, &text) < 0 ||
        proc_status_parse((const char *)text.data, &status) < 0 ||
        supervisor_at(status.parent, &above) < 0)
        return 0;
    close(above.proc_fd);
    return status.inner_tgid == above.program ? above.pid : 0;
}

/* ---- by a scan of all ---- */

static int read_stat(const char *pid, struct proc_stat *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[300];

    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    int r = read_record(AT_FDCWD, path, 4096, &text);
    return r < 0 ? r : proc_stat_parse((const char *)text.data, ret);
}

/* What a process must have to belong. */
struct wanted {
    const struct tree *tree;
    pid_t group, session;
};

/* By one of several roots; *ret_whole: are its descendants wanted as well? */
static bool is_chosen(const struct tree *tree, const struct proc_stat *stat, bool *ret_whole)
{
    const struct tree_member *parent = tree_find_member(tree, stat->parent);
    bool chosen = parent && parent->whole && !parent->tool;

    *ret_whole = chosen;
    for (size_t i = 0; i < tree->choice->n_roots; i++) {
        const struct tree_root *root = &tree->choice->roots[i];
        pid_t id = root->scope == CRS_GROUP     ? stat->group
                   : root->scope == CRS_SESSION ? stat->session
                                                : stat->pid;
        if (id != root->id)
            continue;
        chosen = true;
        *ret_whole |= root->scope == CRS_TREE;
    }
    return chosen;
}

static bool belongs(const struct wanted *w, const struct proc_stat *stat, bool *ret_whole)
{
    const struct tree_member *parent;

    if (w->tree->choice)
        return is_chosen(w->tree, stat, ret_whole);
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
           (w->tree->adopter && stat->parent == w->tree->adopter && !lazy_mark_is_at(stat->pid));
}

static int read_wanted(struct wanted *w, struct crs_error *err)
{
    struct proc_stat stat;
    char root[16];

    if (w->tree->choice)
        return 0;
    snprintf(root, sizeof(root), "%d", w->tree->root);
    if (read_stat(root, &stat) < 0)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "there is no process %d", w->tree->root);
    w->group = stat.group;
    w->session = stat.session;
    return 0;
}

static int scan(const struct tree *tree, struct tree_founds *ret, struct crs_error *err)
{
    _cleanup_closedir_ DIR *dir = opendir("/proc");
    struct wanted wanted = {.tree = tree};
    int r = dir ? read_wanted(&wanted, err) : crs_fail_errno(err, CRS_FAILED, "can't read /proc");
    struct proc_stat stat;

    for (struct dirent *e; r == 0 && (e = readdir(dir));) {
        bool whole = false;
        if (e->d_name[0] < '1' || e->d_name[0] > '9' || read_stat(e->d_name, &stat) < 0 ||
            !belongs(&wanted, &stat, &whole))
            continue;
        const struct tree_member *member = tree_find_member(tree, stat.pid);
        if (!member || is_more(member, whole))
            r = add(ret,
                    &(struct tree_found){.pid = stat.pid, .parent = stat.parent, .whole = whole},
                    err);
    }
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
        struct tree_found *found = &founds->array.items[i];
        struct tree_member *member = tree_find_member(copy, found->pid);
        if (member) { /* its parent may have ended meanwhile: it is another one's now */
            member->whole |= found->whole;
            continue;
        }
        tree_judge(copy, found);
        if (!tree_take_found(copy, found))
            return out_of_memory(err);
    }
    return 0;
}

int tree_list(const struct tree *tree, struct tree_founds *ret, struct crs_error *err)
{
    struct tree copy = {.root = tree->root,
                        .scope = tree->scope,
                        .tool = tree->tool,
                        .adopter = tree->adopter,
                        .choice = tree->choice};
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
    for (size_t i = 0; r == 0 && i < copy.members.n; i++) {
        const struct tree_member *member = &copy.members.items[i];
        if (!member->tool && !member->left_out)
            r = add(&all, &(struct tree_found){.pid = member->pid, .parent = member->parent}, err);
    }
    tree_forget_members(&copy);
    if (r < 0)
        return r;
    *ret = all;
    all = (struct tree_founds){0};
    return 0;
}
