/* lazy_plan.c - which pages of an address space may come later */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "engine/lazy.h"
#include "engine/lazy_space.h"
#include "engine/lazy_start.h"
#include "engine/lazy_uffd.h"
#include "engine/memory_restore.h"
#include "store/chunk_runs.h"

/* In mappings with no more pages they are filled in at once, as long as all of these have no more
 * than the budget. A build for tests may want all to come later. */
#ifndef LAZY_SMALL_PAGES
#define LAZY_SMALL_PAGES 64
#endif
#define SMALL_BUDGET 2048

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

typedef int (*part_fn)(void *arg, size_t vma, uint64_t page, uint32_t count, uint32_t offset);

/* The parts of a chunk: pages side by side, in it (from its page `offset` on) and in one mapping.
 */
static int for_each_part(const Crs__AddressSpace *space, const Crs__Chunk *chunk, part_fn fn,
                         void *arg)
{
    struct chunk_run run;
    uint32_t offset = 0;
    int r = 0;

    chunk_runs_each (run, chunk) {
        uint64_t page = run.first, end = run.dropped ? page : page + run.count;
        for (size_t v = vma_of(space, page); r == 0 && page < end && v < space->n_vmas; v++) {
            uint64_t next = PAGE_OF(space->vmas[v]->end);
            next = next < end ? next : end;
            r = fn(arg, v, page, next - page, offset + (page - run.first));
            page = next;
        }
        offset += run.count;
    }
    return r;
}

/* ---- which ---- */

static int count_part(void *arg, size_t vma, uint64_t page, uint32_t count, uint32_t offset)
{
    ((uint64_t *)arg)[vma] += count;
    return 0;
}

/* Few pages are sooner there than waited for. */
static size_t choose_mappings(const Crs__AddressSpace *space, const uint64_t *n_pages, bool *ret)
{
    uint64_t small = 0;
    size_t n = 0;

    for (size_t i = 0; i < space->n_vmas; i++) {
        bool is_small = n_pages[i] <= LAZY_SMALL_PAGES && small + n_pages[i] <= SMALL_BUDGET;
        if (!may_come_later(space->vmas[i]) || n_pages[i] == 0)
            continue;
        if (is_small)
            small += n_pages[i];
        ret[i] = !is_small;
        n += ret[i];
    }
    return n;
}

/* 1: yes */
static int is_later(void *arg, size_t vma, uint64_t page, uint32_t count, uint32_t offset)
{
    return ((const bool *)arg)[vma] ? 1 : 0;
}

static size_t choose(const Crs__AddressSpace *space, struct lazy_part *part, uint64_t *n_pages)
{
    for (size_t i = 0; i < space->n_chunks; i++)
        for_each_part(space, space->chunks[i], count_part, n_pages);
    size_t n = choose_mappings(space, n_pages, part->registered);
    for (size_t i = 0; n > 0 && i < space->n_chunks; i++)
        part->later[i] = for_each_part(space, space->chunks[i], is_later, part->registered) == 1;
    return n;
}

/* ---- the rest of chunks ---- */

struct rest {
    struct kobj_restore *ctx;
    const bool *registered;
    const uint8_t *raw;
    struct crs_error *err;
};

static int fill_part(void *arg, size_t vma, uint64_t page, uint32_t count, uint32_t offset)
{
    const struct rest *rest = arg;

    if (rest->registered[vma])
        return 0;
    return tracee_write(rest->ctx->t, page * PAGE, rest->raw + offset * PAGE, count * PAGE,
                        rest->err);
}

static int is_now(void *arg, size_t vma, uint64_t page, uint32_t count, uint32_t offset)
{
    return ((const bool *)arg)[vma] ? 0 : 1;
}

int lazy_fill_rest(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                   const struct lazy_part *part, struct crs_error *err)
{
    _cleanup_free_ void *raw = NULL;
    int r = 0;

    if (part->uffd < 0 && !part->later)
        return 0;
    if (posix_memalign(&raw, PAGE, STORE_CHUNK_SIZE) != 0) {
        raw = NULL;
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a buffer");
    }
    for (size_t i = 0; r == 0 && i < space->n_chunks; i++) {
        struct rest rest = {ctx, part->registered, raw, err};
        if (!part->later[i] ||
            for_each_part(space, space->chunks[i], is_now, part->registered) == 0)
            continue;
        r = store_read_chunk(ctx->reader, space->chunks[i], raw, err);
        if (r == 0)
            r = for_each_part(space, space->chunks[i], fill_part, &rest);
    }
    return r;
}

/* ---- what the server brings ---- */

struct adding {
    struct lazy_source *source;
    const bool *registered;
    size_t room;
};

static int add_piece(void *arg, size_t vma, uint64_t page, uint32_t count, uint32_t offset)
{
    struct adding *a = arg;
    struct lazy_source *s = a->source;

    if (!a->registered[vma])
        return 0;
    struct lazy_piece *piece =
        array_grow((void **)&s->pieces, &s->n_pieces, &a->room, sizeof(*piece)) < 0
            ? NULL
            : &s->pieces[s->n_pieces - 1];
    if (!piece)
        return -ENOMEM;
    *piece = (struct lazy_piece){page, s->n_pages, count, offset, s->n_chunks - 1};
    s->n_pages += count;
    return 0;
}

int lazy_list(const Crs__AddressSpace *space, const struct lazy_part *part,
              struct lazy_source *source)
{
    struct adding adding = {.source = source, .registered = part->registered};
    int r = 0;

    source->chunks = calloc(space->n_chunks + 1, sizeof(*source->chunks));
    if (!source->chunks)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < space->n_chunks; i++) {
        if (!part->later[i])
            continue;
        source->chunks[source->n_chunks++] = space->chunks[i];
        r = for_each_part(space, space->chunks[i], add_piece, &adding);
    }
    return r < 0 ? r : lazy_order(space->hot, space->n_hot, source);
}

/* ---- in order ---- */

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

static int register_all(const Crs__AddressSpace *space, struct lazy_part *part,
                        struct crs_error *err)
{
    for (size_t i = 0; i < space->n_vmas; i++) {
        const Crs__Vma *vma = space->vmas[i];
        int r = part->registered[i] ? lazy_uffd_register(part->uffd, vma->start, vma->end) : 0;
        if (r < 0)
            return crs_fail(err, CRS_CANT_RESTART, -r,
                            "the memory at %#llx can't be waited for (restart without --lazy): %s",
                            (unsigned long long)vma->start, strerror(-r));
    }
    return 0;
}

int lazy_arm(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct lazy_part *part,
             struct crs_error *err)
{
    _cleanup_free_ uint64_t *n_pages = calloc(space->n_vmas + 1, sizeof(*n_pages));
    struct crs_error why = {0};

    *part = (struct lazy_part){.uffd = -1};
    if (!ctx->lazy)
        return 0;
    part->later = calloc(space->n_chunks + 1, sizeof(*part->later));
    part->registered = calloc(space->n_vmas + 1, sizeof(*part->registered));
    if (!n_pages || !part->later || !part->registered)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a list of chunks");
    if (choose(space, part, n_pages) == 0)
        return 0;
    if (take_uffd(ctx, &part->uffd, &why) < 0) {
        kobj_warn(ctx->progress, ctx->progress_arg, "the memory of a process is there at once: %s",
                  why.text);
        lazy_part_clear(part);
        return 0;
    }
    int r = register_all(space, part, err);
    return r < 0 ? r : lazy_add(ctx->lazy, space, part, err);
}
