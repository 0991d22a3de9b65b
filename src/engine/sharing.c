/* sharing.c - what processes of a snapshot share without being threads of one */
#include <stdlib.h>

#include "base/cleanup.h"
#include "engine/sharing.h"

#define MAX_COPIED (1u << 22) /* descriptors */

/* A process, by a number of it. */
struct place {
    uint32_t number;
    size_t process;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x->process > y->process) - (x->process < y->process);
}

static const struct place *find_place(const struct place *places, size_t n, uint32_t number)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (places[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && places[low].number == number ? &places[low] : NULL;
}

/* By their address spaces (`memory`), or their PIDs. */
static struct place *sort_places(const Crs__Tree *tree, bool memory)
{
    size_t n = tree->n_processes;
    struct place *places = calloc(n + 1, sizeof(*places));

    for (size_t i = 0; places && i < n; i++) {
        const Crs__Process *p = tree->processes[i];
        places[i] = (struct place){memory ? p->address_space : p->pid, i};
    }
    if (places && n > 0)
        qsort(places, n, sizeof(*places), compare_places);
    return places;
}

size_t *sharing_firsts(const Crs__Tree *tree)
{
    size_t n = tree->n_processes;
    _cleanup_free_ struct place *spaces = sort_places(tree, true), *pids = sort_places(tree, false);
    size_t *firsts = calloc(n * KOBJ_N_SHARED + 1, sizeof(*firsts));

    if (!spaces || !pids || !firsts) {
        free(firsts);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        for (unsigned what = 0; what < KOBJ_N_SHARED; what++) {
            Crs__Process *p = tree->processes[i];
            uint32_t *with = kobj_shared_with(p, what);
            const struct place *first = NULL;
            if (with && *with)
                first = find_place(pids, n, *with);
            else if (what == KOBJ_MEMORY && p->address_space && !p->zombie)
                first = find_place(spaces, n, p->address_space);
            firsts[i * KOBJ_N_SHARED + what] = first ? first->process : i;
        }
    return firsts;
}

bool sharing_is_there(const Crs__Tree *tree)
{
    _cleanup_free_ size_t *firsts = sharing_firsts(tree);

    for (size_t i = 0; firsts && i < tree->n_processes * KOBJ_N_SHARED; i++)
        if (firsts[i] != i / KOBJ_N_SHARED)
            return true;
    return false;
}

/* ---- the record ---- */

static void drop_descriptors(Crs__Process *p)
{
    for (size_t i = 0; i < p->n_descriptors; i++)
        crs__descriptor__free_unpacked(p->descriptors[i], NULL);
    free(p->descriptors);
    p->descriptors = NULL;
    p->n_descriptors = 0;
}

void sharing_reduce(Crs__Tree *tree)
{
    for (size_t i = 0; i < tree->n_processes; i++)
        if (tree->processes[i]->shares_descriptors)
            drop_descriptors(tree->processes[i]);
}

static int damaged(const char *where, struct crs_error *err, const char *what)
{
    return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: tree.pb: %s", where, what);
}

/* The process named comes before it, lives, and has its own. */
static bool may_share_with(const Crs__Tree *tree, const size_t *firsts, size_t i,
                           enum kobj_shared what)
{
    size_t first = firsts[i * KOBJ_N_SHARED + what];
    Crs__Process *with = tree->processes[first];

    return first < i && !with->zombie && !tree->processes[i]->zombie &&
           *kobj_shared_with(with, what) == 0 &&
           (what != KOBJ_ACTIONS || with->address_space == tree->processes[i]->address_space);
}

static int expand(Crs__Tree *tree, const size_t *firsts, size_t i, const char *where,
                  struct crs_error *err)
{
    Crs__Process *p = tree->processes[i];

    for (unsigned what = 0; what < KOBJ_N_SHARED; what++) {
        const uint32_t *with = kobj_shared_with(p, what);
        if (with && *with && !may_share_with(tree, firsts, i, what))
            return damaged(where, err, "a process shares something with one that hasn't got it");
    }
    if (!p->shares_descriptors)
        return 0;
    if (p->n_descriptors > 0)
        return damaged(where, err, "a process that shares its descriptors has some of its own");
    free(p->descriptors);
    p->descriptors = NULL;
    return kobj_copy_descriptors(p, tree->processes[firsts[i * KOBJ_N_SHARED + KOBJ_DESCRIPTORS]],
                                 err);
}

int sharing_expand(Crs__Tree *tree, const char *where, struct crs_error *err)
{
    _cleanup_free_ size_t *firsts = sharing_firsts(tree);
    size_t n_copied = 0;
    int r = 0;

    if (!firsts)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < tree->n_processes; i++) {
        r = expand(tree, firsts, i, where, err);
        if (r == 0 && tree->processes[i]->shares_descriptors)
            n_copied += tree->processes[i]->n_descriptors;
        if (n_copied > MAX_COPIED)
            return crs_fail(err, CRS_CANT_RESTART, E2BIG,
                            "%s: the processes that share descriptors have too many of them",
                            where);
    }
    return r;
}
