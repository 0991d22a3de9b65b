/*
 * memory_plan.c - which pages are to be copied, in pieces of the size of a chunk
 *
 * A chunk ends where a multiple of its size begins in the address space (or file), whatever stands
 * in front of it, so that the same pages make the same chunk the next time. Only where few pages
 * are in each such window several of them make one chunk.
 */
#include <stdlib.h>

#include "memory_image.h"

#define FEW_PAGES 32

int copy_plan_sink(struct copy_plan *plan, Crs__Chunk ***chunks, size_t *n_chunks,
                   uint32_t *ret_sink, struct crs_error *err)
{
    struct copy_sink *sink = ARRAY_ADD(&plan->sinks);

    if (!sink)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
    *sink = (struct copy_sink){chunks, n_chunks};
    *ret_sink = plan->sinks.n - 1;
    return 0;
}

/* The last chunk gets no more pages: it joins the one before it if both have few. */
static void close_last(struct copy_plan *plan)
{
    struct copy_chunk *last = plan->chunks.n ? &plan->chunks.items[plan->chunks.n - 1] : NULL;
    struct copy_chunk *before = plan->chunks.n > 1 ? last - 1 : NULL;

    if (!before || last->n_pages > FEW_PAGES || (before->n_pages > FEW_PAGES && !before->mixed) ||
        before->n_pages + last->n_pages > STORE_CHUNK_PAGES || before->sink != last->sink ||
        before->fd != last->fd || before->in_freeze != last->in_freeze)
        return;
    before->n_runs += last->n_runs;
    before->n_pages += last->n_pages;
    before->window = last->window;
    before->mixed = true;
    plan->chunks.n--;
}

/* The chunk that takes the next pages: the last one, or a new one. */
static struct copy_chunk *open_chunk(struct copy_plan *plan, uint32_t sink, int fd, uint64_t page,
                                     bool in_freeze)
{
    struct copy_chunk *chunk = plan->chunks.n ? &plan->chunks.items[plan->chunks.n - 1] : NULL;
    uint64_t window = page / STORE_CHUNK_PAGES;

    if (chunk && chunk->sink == sink && chunk->fd == fd && chunk->window == window &&
        chunk->in_freeze == in_freeze && chunk->n_pages < STORE_CHUNK_PAGES)
        return chunk;
    close_last(plan);
    chunk = ARRAY_ADD(&plan->chunks);
    if (chunk)
        *chunk = (struct copy_chunk){.first_run = plan->runs.n,
                                     .sink = sink,
                                     .fd = fd,
                                     .window = window,
                                     .in_freeze = in_freeze};
    return chunk;
}

/* Up to the end of the window. */
static uint32_t room_in(const struct copy_chunk *chunk, uint64_t page)
{
    uint32_t room = STORE_CHUNK_PAGES - chunk->n_pages;
    uint32_t in_window = STORE_CHUNK_PAGES - page % STORE_CHUNK_PAGES;

    return room < in_window ? room : in_window;
}

static bool extend_last_run(struct copy_plan *plan, struct copy_chunk *chunk, uint64_t page,
                            uint32_t n, uint64_t source, uint32_t how)
{
    struct copy_run *run = chunk->n_runs ? &plan->runs.items[plan->runs.n - 1] : NULL;

    if (!run || run->page + run->count != page || run->source + run->count * PAGE != source ||
        run->how != how)
        return false;
    run->count += n;
    return true;
}

int copy_plan_add(struct copy_plan *plan, uint32_t sink, int fd, uint64_t page, uint64_t count,
                  uint64_t source, uint32_t how, struct crs_error *err)
{
    plan->n_pages += count;
    while (count > 0) {
        struct copy_chunk *chunk =
            open_chunk(plan, sink, fd, page, fd >= 0 || how & COPY_IN_FREEZE);
        if (!chunk)
            return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
        uint32_t room = room_in(chunk, page), n = count < room ? count : room;
        if (!extend_last_run(plan, chunk, page, n, source, how)) {
            struct copy_run *run = ARRAY_ADD(&plan->runs);
            if (!run)
                return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
            *run = (struct copy_run){page, source, n, how};
            chunk->n_runs++;
        }
        chunk->n_pages += n;
        page += n;
        source += n * PAGE;
        count -= n;
    }
    return 0;
}

void copy_plan_clear(struct copy_plan *plan)
{
    for (size_t i = 0; i < plan->chunks.n; i++) {
        if (plan->chunks.items[i].result)
            crs__chunk__free_unpacked(plan->chunks.items[i].result, NULL);
        if (plan->chunks.items[i].same)
            crs__chunk__free_unpacked(plan->chunks.items[i].same, NULL);
    }
    free(plan->runs.items);
    free(plan->chunks.items);
    free(plan->sinks.items);
    *plan = (struct copy_plan){0};
}
