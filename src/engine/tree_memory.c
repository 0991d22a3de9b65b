/* tree_memory.c - members that share their memory without being threads of one process (CLONE_VM)
 */
#include <linux/kcmp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "engine/tree.h"
#include "kobj/attributes.h"
#include "proc/children.h"

int tree_memory_find(const struct tree *tree, struct tracee *t, size_t *ret_place,
                     struct crs_error *err)
{
    size_t low = 0, high = tree->memories.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct tracee *other = tree->memories.items[middle];
        long order = syscall(SYS_kcmp, tracee_main(other)->tid, tracee_main(t)->tid, KCMP_VM, 0, 0);
        if (order < 0)
            return crs_fail_errno(err, CRS_CANT_CHECKPOINT, "can't compare processes %d and %d",
                                  other->pid, t->pid);
        if (order == 0) {
            t->memory_of = other;
            return 0;
        }
        if (order == 1)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_place = low;
    return 0;
}

static int check_parent(const struct tree *tree, struct tracee *t, struct crs_error *err)
{
    _cleanup_proc_status_ struct proc_status status = {0};

    if (kobj_read_status(tracee_main(t), &status, NULL) < 0 || status.parent <= 0)
        return 0;
    const struct tree_member *parent = tree_find_member(tree, status.parent);
    return parent && !parent->left_out ? 0 : kobj_check_apart(t, status.parent, err);
}

/* Those of one thread, where the kernel lists them. */
static int check_children(struct tracee *t, pid_t tid, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_free_ pid_t *children = NULL;
    char path[48];
    size_t n = 0;
    int r = 0;

    snprintf(path, sizeof(path), "task/%d/children", tid);
    if (read_file(t->proc_fd, path, 64u << 20, &text) < 0 ||
        proc_children_parse((const char *)text.data, &children, &n) < 0)
        return 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = kobj_check_apart(t, children[i], err);
    return r;
}

/*
 * A relative that is not held would go on using what is shared, and nothing may be written there.
 * Parents that are members are held before their children.
 */
int tree_memory_check(const struct tree *tree, struct tracee *t, bool alone, struct crs_error *err)
{
    int r = check_parent(tree, t, err);

    tracee_for_each_thread (t, th) {
        if (r == 0 && alone)
            r = check_children(t, th->tid, err);
    }
    return r;
}

int tree_memory_add(struct tree *tree, struct tracee *t, size_t place, struct crs_error *err)
{
    if (t->memory_of)
        return 0;
    struct tracee **last = ARRAY_ADD(&tree->memories);
    if (!last)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of processes");
    struct tracee **at = tree->memories.items + place;
    memmove(at + 1, at, (tree->memories.n - 1 - place) * sizeof(*at));
    *at = t;
    return 0;
}
