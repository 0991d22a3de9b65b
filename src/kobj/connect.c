/*
 * connect.c - what can be done only when the descriptors stand in the processes
 *
 * An open file description may be held by many processes, under many numbers. What belongs to the
 * description is done once, by the first that has it; POSIX locks are each process's own.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "kobj/file.h"

/* ---- who has what ---- */

static int compare_holders(const void *a, const void *b)
{
    const struct file_holder *x = a, *y = b;

    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->process != y->process)
        return x->process < y->process ? -1 : 1;
    return (x->fd > y->fd) - (x->fd < y->fd);
}

/* Of several numbers in one process the lowest. */
static void keep_lowest(struct file_holders *h)
{
    size_t n = 0;

    for (size_t i = 0; i < h->n; i++)
        if (n == 0 || h->items[n - 1].file != h->items[i].file ||
            h->items[n - 1].process != h->items[i].process)
            h->items[n++] = h->items[i];
    h->n = n;
}

static int list_holders(const struct kobj_restore *ctx, struct file_holders *h,
                        struct crs_error *err)
{
    const Crs__Tree *tree = ctx->tree;
    size_t n = 0;

    for (size_t i = 0; i < tree->n_processes; i++)
        n += tree->processes[i]->n_descriptors;
    h->items = calloc(n + 1, sizeof(*h->items));
    if (!h->items)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; i < tree->n_processes; i++)
        for (size_t k = 0; k < tree->processes[i]->n_descriptors; k++) {
            const Crs__Descriptor *d = tree->processes[i]->descriptors[k];
            h->items[h->n++] = (struct file_holder){d->file, i, d->fd};
        }
    qsort(h->items, h->n, sizeof(*h->items), compare_holders);
    keep_lowest(h);
    return 0;
}

const struct file_holder *file_holders_of(const struct kobj_restore *ctx, uint32_t id,
                                          size_t *ret_n)
{
    const struct file_holders *h = ctx->holders;
    size_t low = 0, high = h->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (h->items[middle].file < id)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_n = 0;
    while (low + *ret_n < h->n && h->items[low + *ret_n].file == id)
        ++*ret_n;
    return h->items + low;
}

void file_enter(struct kobj_restore *ctx, const struct file_holder *holder)
{
    ctx->t = ctx->stubs[holder->process];
    ctx->process = ctx->tree->processes[holder->process];
}

int file_number(const struct kobj_restore *ctx, uint32_t id)
{
    const Crs__Process *p = ctx->process;

    for (size_t i = 0; i < p->n_descriptors; i++)
        if (p->descriptors[i]->file == id)
            return p->descriptors[i]->fd;
    return -1;
}

/* ---- connect ---- */

static int connect_file(struct kobj_restore *ctx, const Crs__OpenFile *record, int fd,
                        struct crs_error *err)
{
    const struct kobj_file_kind *kind = kobj_find_file_kind(record->kind);
    int r = kind->connect ? kind->connect(ctx, record, fd, err) : 0;

    if (r == 0 && !inherit_is_wanted(record))
        r = owner_restore(ctx, record, fd, err);
    return r < 0 ? crs_fail_at(err, r, "fd %d of process %u", fd, ctx->process->pid) : 0;
}

static int connect_files(struct kobj_restore *ctx, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < ctx->files->n_files; i++) {
        size_t n;
        const struct file_holder *first = file_holders_of(ctx, i + 1, &n);
        if (n == 0)
            continue;
        file_enter(ctx, first);
        r = connect_file(ctx, ctx->files->files[i], first->fd, err);
    }
    return r;
}

/* Locks come last: a descriptor closed on the way (epoll's stand-ins) would drop them. */
static int lock_files(struct kobj_restore *ctx, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; i < ctx->files->n_files; i++) {
        size_t n;
        const struct file_holder *holders = file_holders_of(ctx, i + 1, &n);
        if (ctx->files->files[i]->n_locks == 0)
            continue;
        for (size_t k = 0; r == 0 && k < n; k++) {
            file_enter(ctx, &holders[k]);
            r = locks_restore(ctx, ctx->files->files[i], holders[k].fd, k == 0, err);
        }
    }
    return r;
}

int kobj_connect_files(struct kobj_restore *ctx, struct crs_error *err)
{
    struct file_holders holders = {0};
    int r = list_holders(ctx, &holders, err);

    ctx->holders = &holders;
    if (r == 0)
        r = io_uring_restore_all(ctx, err);
    if (r == 0)
        r = epoll_restore_lists(ctx, err);
    if (r == 0)
        r = connect_files(ctx, err);
    if (r == 0)
        r = lock_files(ctx, err);
    if (r == 0)
        r = kobj_objects_seal(ctx, err);
    ctx->holders = NULL;
    ctx->process = NULL;
    ctx->t = NULL;
    free(holders.items);
    return r;
}
