/* lazy_plan.c - which pages of an address space may come later */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "engine/lazy.h"
#include "engine/lazy_start.h"
#include "engine/lazy_uffd.h"
#include "engine/memory_restore.h"

#define SMALL_PAGES  64   /* in mappings with no more pages they are filled in at once, */
#define SMALL_BUDGET 2048 /* as long as all of these have no more */

#define NOT_LATER                                                                                  \
    (CRS__VMA_FLAG__VMA_FLAG_LOCKED | CRS__VMA_FLAG__VMA_FLAG_LOCK_ON_FAULT |                      \
     CRS__VMA_FLAG__VMA_FLAG_GROWSDOWN | CRS__VMA_FLAG__VMA_FLAG_STACK |                           \
     CRS__VMA_FLAG__VMA_FLAG_WIPEONFORK | CRS__VMA_FLAG__VMA_FLAG_SEALED |                         \
     CRS__VMA_FLAG__VMA_FLAG_DROPPABLE)

void lazy_part_clear(struct lazy_part *part)
{
    free(part->later);
    free(part->registered);
    cleanup_close(&part->uffd);
    *part = (struct lazy_part){.uffd = -1};
}

static bool may_come_later(const Crs__Vma *vma)
{
    return vma->kind == CRS__VMA_KIND__VMA_ANONYMOUS && !vma->huge_page_bytes &&
           !(vma->flags & NOT_LATER);
}

/* The mapping that a page is in. The layout was checked: there is one. */
static size_t vma_of(const Crs__AddressSpace *space, uint64_t page)
{
    size_t low = 0, high = space->n_vmas;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (PAGE_OF(space->vmas[middle]->end) <= page)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* How many of the chunk's pages each mapping has, into n_pages; or whether all of them are marked,
 * where n_pages is NULL; or mark them, where that is said. */
struct walk {
    const Crs__AddressSpace *space;
    uint64_t *n_pages;
    const bool *wanted;
    bool *mark;
};

static bool walk_run(const struct walk *w, const Crs__Run *run)
{
    uint64_t page = run->first, end = run->first + run->count;
    bool all = true;

    for (size_t i = vma_of(w->space, page); page < end && i < w->space->n_vmas; i++) {
        uint64_t next = PAGE_OF(w->space->vmas[i]->end);
        next = next < end ? next : end;
        if (w->n_pages)
            w->n_pages[i] += next - page;
        if (w->wanted)
            all &= w->wanted[i];
        if (w->mark)
            w->mark[i] = true;
        page = next;
    }
    return all;
}

static bool walk_chunk(const struct walk *w, const Crs__Chunk *chunk)
{
    bool all = true;

    for (size_t i = 0; i < chunk->n_runs; i++)
        if (!chunk->runs[i]->dropped)
            all &= walk_run(w, chunk->runs[i]);
    return all;
}

/* Few pages are sooner there than waited for. */
static void choose_mappings(const Crs__AddressSpace *space, const uint64_t *n_pages, bool *ret)
{
    uint64_t small = 0;

    for (size_t i = 0; i < space->n_vmas; i++) {
        bool is_small = n_pages[i] <= SMALL_PAGES && small + n_pages[i] <= SMALL_BUDGET;
        if (!may_come_later(space->vmas[i]))
            continue;
        if (is_small)
            small += n_pages[i];
        ret[i] = !is_small;
    }
}

static void choose_chunks(const Crs__AddressSpace *space, const bool *wanted,
                          struct lazy_part *part)
{
    const struct walk check = {.space = space, .wanted = wanted};
    const struct walk mark = {.space = space, .mark = part->registered};

    for (size_t i = 0; i < space->n_chunks; i++) {
        const Crs__Chunk *chunk = space->chunks[i];
        part->later[i] = walk_chunk(&check, chunk);
        if (!part->later[i])
            continue;
        walk_chunk(&mark, chunk);
        part->n_chunks++;
        for (size_t k = 0; k < chunk->n_runs; k++)
            part->n_pages += chunk->runs[k]->dropped ? 0 : chunk->runs[k]->count;
    }
}

/* The process makes it, we get it, and it has it no more. */
static int take_uffd(struct kobj_restore *ctx, int *ret_fd, struct crs_error *err)
{
    struct tracee_thread *th = tracee_main(ctx->t);
    int64_t fd, result;
    int r = REMOTE_CHECKED(th, &fd, err, CRS_NOT_PERMITTED, "can't make a userfaultfd",
                           SYS_userfaultfd, LAZY_UFFD_FLAGS);

    if (r < 0)
        return r;
    r = tracee_get_fd(ctx->t, fd, ret_fd, err);
    int closed = REMOTE(th, &result, err, SYS_close, fd);
    if (r < 0 || closed < 0)
        return r < 0 ? r : closed;
    r = lazy_uffd_begin(*ret_fd);
    if (r < 0) {
        cleanup_close(ret_fd);
        *ret_fd = -1;
        return crs_fail(err, CRS_NOT_PERMITTED, -r, "can't be told of forks by a userfaultfd: %s",
                        strerror(-r));
    }
    return 0;
}

static void nothing_later(struct lazy_part *part, size_t n_chunks)
{
    memset(part->later, 0, n_chunks * sizeof(*part->later));
    part->n_chunks = part->n_pages = 0;
}

int lazy_plan(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct lazy_part *part,
              struct crs_error *err)
{
    _cleanup_free_ uint64_t *n_pages = calloc(space->n_vmas + 1, sizeof(*n_pages));
    _cleanup_free_ bool *wanted = calloc(space->n_vmas + 1, sizeof(*wanted));
    const struct walk count = {.space = space, .n_pages = n_pages};
    struct crs_error why = {0};

    *part = (struct lazy_part){.uffd = -1};
    if (!ctx->lazy)
        return 0;
    part->later = calloc(space->n_chunks + 1, sizeof(*part->later));
    part->registered = calloc(space->n_vmas + 1, sizeof(*part->registered));
    if (!n_pages || !wanted || !part->later || !part->registered)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a list of chunks");
    for (size_t i = 0; i < space->n_chunks; i++)
        walk_chunk(&count, space->chunks[i]);
    choose_mappings(space, n_pages, wanted);
    choose_chunks(space, wanted, part);
    if (part->n_chunks == 0 || take_uffd(ctx, &part->uffd, &why) == 0)
        return 0;
    nothing_later(part, space->n_chunks);
    kobj_warn(ctx->progress, ctx->progress_arg, "the memory of a process is there at once: %s",
              why.text);
    return 0;
}

int lazy_arm(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct lazy_part *part,
             struct crs_error *err)
{
    if (part->n_chunks == 0)
        return 0;
    for (size_t i = 0; i < space->n_vmas; i++) {
        const Crs__Vma *vma = space->vmas[i];
        int r = part->registered[i] ? lazy_uffd_register(part->uffd, vma->start, vma->end) : 0;
        if (r < 0)
            return crs_fail(err, CRS_CANT_RESTART, -r,
                            "the memory at %#llx can't be waited for (restart without --lazy): %s",
                            (unsigned long long)vma->start, strerror(-r));
    }
    return lazy_add(ctx->lazy, space, part, err);
}
