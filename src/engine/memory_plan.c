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
        *chunk = (struct copy_chunk){.first_run = plan->runs_end,
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

/* ---- runs, coded ---- */

/* Of each: how far it is from the one before, twice, plus 1 if it is of another mapping: then the
 * difference of the shifts and `how` follow; and how many pages. */
static int code_run(struct copy_plan *plan, const struct copy_run *run)
{
    const struct copy_place before = plan->runs_end;
    uint64_t shift = run->source - run->page * PAGE;
    bool other = shift != before.shift || run->how != before.how;
    int r = numbers_add(&plan->runs, number_of_difference(before.page, run->page) << 1 | other);

    if (r == 0 && other)
        r = numbers_add(&plan->runs, number_of_difference(before.shift, shift));
    if (r == 0 && other)
        r = numbers_add(&plan->runs, run->how);
    if (r == 0)
        r = numbers_add(&plan->runs, run->count);
    if (r < 0)
        return r;
    plan->last = *run;
    plan->last_at = before;
    plan->runs_end = (struct copy_place){plan->runs.size, run->page + run->count, shift, run->how};
    return 0;
}

void copy_plan_runs(const struct copy_plan *plan, const struct copy_chunk *chunk,
                    struct copy_run *ret)
{
    const uint8_t *at = plan->runs.data + chunk->first_run.at;
    const uint8_t *end = plan->runs.data + plan->runs.size;
    struct copy_place place = chunk->first_run;
    uint64_t page = 0, shift = 0, how = 0, count = 0;

    for (uint32_t i = 0; i < chunk->n_runs; i++) {
        number_get(&at, end, &page);
        if (page & 1) {
            number_get(&at, end, &shift);
            number_get(&at, end, &how);
            place.shift = number_apply_difference(place.shift, shift);
            place.how = how;
        }
        number_get(&at, end, &count);
        page = number_apply_difference(place.page, page >> 1);
        ret[i] = (struct copy_run){page, page * PAGE + place.shift, count, place.how};
        place.page = page + count;
    }
}

static bool follows_last(const struct copy_plan *plan, const struct copy_chunk *chunk,
                         const struct copy_run *run)
{
    const struct copy_run *last = &plan->last;

    return chunk->n_runs > 0 && last->page + last->count == run->page &&
           last->source + last->count * PAGE == run->source && last->how == run->how;
}

/* Add it to the chunk, which is the last: joined to its last run, if it goes on from that. */
static int add_run(struct copy_plan *plan, struct copy_chunk *chunk, const struct copy_run *run)
{
    struct copy_run joined = plan->last;

    if (!follows_last(plan, chunk, run)) {
        chunk->n_runs++;
        return code_run(plan, run);
    }
    joined.count += run->count;
    plan->runs_end = plan->last_at;
    plan->runs.size = plan->runs_end.at;
    return code_run(plan, &joined);
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
        if (add_run(plan, chunk, &(struct copy_run){page, source, n, how}) < 0)
            return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
        chunk->n_pages += n;
        page += n;
        source += n * PAGE;
        count -= n;
    }
    return 0;
}

int copy_plan_add_set(struct copy_plan *plan, uint32_t sink, const struct page_runs *pages,
                      uint32_t how, struct crs_error *err)
{
    struct page_runs_at at = page_runs_begin(pages);
    struct page_run run;
    int r = 0;

    while (r == 0 && page_runs_next(&at, &run))
        r = copy_plan_add(plan, sink, -1, run.first, run.count, run.first * PAGE, how, err);
    return r;
}

void copy_plan_clear(struct copy_plan *plan)
{
    for (size_t i = 0; i < plan->chunks.n; i++) {
        if (plan->chunks.items[i].result)
            crs__chunk__free_unpacked(plan->chunks.items[i].result, NULL);
        if (plan->chunks.items[i].same)
            crs__chunk__free_unpacked(plan->chunks.items[i].same, NULL);
    }
    numbers_clear(&plan->runs);
    free(plan->chunks.items);
    free(plan->sinks.items);
    *plan = (struct copy_plan){0};
}
