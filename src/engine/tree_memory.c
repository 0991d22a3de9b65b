/* tree_memory.c - members that share their memory without being threads of one process (CLONE_VM)
 */
#include <linux/kcmp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/tree.h"

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
