/* memory_live.c - copies that were made before the freeze: which of them count in it */
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "memory_live.h"

#define NEAR_PAGES 64   /* what is that close together is scanned at once */
#define FAR_PAGES  1024 /* what is farther ahead is searched for */

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
}

void memory_live_free(struct memory_live *live)
{
    if (!live)
        return;
    track_free(live->track);
    cleanup_close(&live->pagemap_fd);
    cleanup_close(&live->mem_fd);
    for (size_t i = 0; i < live->chunks.n; i++)
        if (live->chunks.items[i])
            crs__chunk__free_unpacked(live->chunks.items[i], NULL);
    tracee_timeouts_clear(&live->timeouts);
    proc_smaps_clear(&live->smaps);
    free(live->chunks.items);
    free(live->ranges.items);
    page_runs_clear(&live->covered);
    page_runs_clear(&live->marked);
    page_runs_clear(&live->kept);
    page_runs_clear(&live->fresh);
    page_runs_clear(&live->again);
    page_runs_clear(&live->late);
    live_forget_rounds(live);
    free(live);
}

void live_give_up(struct memory_live *live)
{
    live->given_up = true;
    live->lasting = false;
    page_runs_clear(&live->covered);
    page_runs_clear(&live->kept);
    page_runs_clear(&live->again);
}

/* ---- pages of chunks ---- */

static bool all_dropped(const Crs__Chunk *chunk)
{
    return chunk_live_pages(chunk) == 0;
}

/* Where one looks in a set: most of the time a little further on than the last time. */
struct place {
    struct page_runs_at at; /* not behind the first run that ends behind this page */
    uint64_t page;
};

/* To look for all of the run. */
static void go_to(struct place *p, const struct page_runs *set, const struct chunk_run *run)
{
    if (!p->at.runs || run->first < p->page || run->first - p->page > FAR_PAGES)
        p->at = page_runs_find(set, run->first);
    p->page = run->first + run->count;
}

/* A run, of which the pages in the set are to be dropped, or the others. */
static void split_run(struct chunk_run_list *list, const struct chunk_run *run, struct place *p,
                      bool if_in_set)
{
    struct page_runs_at ahead = p->at;
    uint64_t at = run->first, end = run->first + run->count;
    struct page_run part;

    while (page_runs_next(&ahead, &part) && part.first < end) {
        uint64_t first = part.first > at ? part.first : at;
        uint64_t part_end = part.first + part.count, until = part_end < end ? part_end : end;
        if (until > first) {
            chunk_run_list_add(list, at, first - at, !if_in_set);
            chunk_run_list_add(list, first, until - first, if_in_set);
            at = until;
        }
        if (part_end <= end)
            p->at = ahead;
    }
    chunk_run_list_add(list, at, end - at, !if_in_set);
}

/* Drop the pages of the chunk that are in the set, or are not. 0 or -ENOMEM. */
static int drop_pages(Crs__Chunk *chunk, const struct page_runs *set, bool if_in_set,
                      struct place *p)
{
    struct chunk_run_list list = {.n = 0};
    struct chunk_run run;

    chunk_runs_each (run, chunk) {
        if (run.dropped) {
            chunk_run_list_add(&list, run.first, run.count, true);
        } else {
            go_to(p, set, &run);
            split_run(&list, &run, p, if_in_set);
        }
    }
    return chunk_runs_set(chunk, &list);
}

/* Would drop_pages() change anything? */
static bool has_pages_to_drop(const Crs__Chunk *chunk, const struct page_runs *set, bool if_in_set,
                              struct place *p)
{
    struct chunk_run run;

    chunk_runs_each (run, chunk) {
        if (run.dropped)
            continue;
        go_to(p, set, &run);
        if (page_runs_overlap_next(&p->at, run.first, run.count) != (if_in_set ? 0 : run.count))
            return true;
    }
    return false;
}

/* A chunk without a page is nobody's: its bytes stay in the pack. */
static int drop_from_all(struct memory_live *live, const struct page_runs *set, bool if_in_set)
{
    struct place place = {.page = 0};
    int r = 0;

    for (size_t i = 0; r == 0 && i < live->chunks.n; i++) {
        Crs__Chunk **chunk = &live->chunks.items[i];
        const struct place before = place;
        if (!*chunk || !has_pages_to_drop(*chunk, set, if_in_set, &place))
            continue;
        place = before;
        r = drop_pages(*chunk, set, if_in_set, &place);
        if (r == 0 && all_dropped(*chunk)) {
            crs__chunk__free_unpacked(*chunk, NULL);
            *chunk = NULL;
        }
    }
    return r;
}

int live_drop_others(struct memory_live *live, const struct page_runs *pages)
{
    return drop_from_all(live, pages, false);
}

int live_forget(struct memory_live *live, const struct page_runs *pages)
{
    struct page_runs rest = {0};

    if (pages->n == 0)
        return 0;
    int r = page_runs_subtract(&live->covered, pages, &rest);
    if (r < 0) {
        page_runs_clear(&rest);
        return r;
    }
    page_runs_clear(&live->covered);
    live->covered = rest;
    return drop_from_all(live, pages, true);
}

/* ---- in the freeze ---- */

bool memory_live_tracks(const struct memory_set *set, uint64_t start, uint64_t end)
{
    for (size_t i = 0; i < set->images.n; i++) {
        const struct memory_live *live = set->images.items[i]->live;
        if (live && live->track && track_covers(live->track, start, end))
            return true;
    }
    return false;
}

/* A ring that it shares with the kernel, which writes into its memory whenever it likes. */
static bool is_ring(const struct proc_map *map)
{
    return strncmp(map->name, "/[aio]", 6) == 0 || strcmp(map->name, "anon_inode:[io_uring]") == 0;
}

void memory_live_enter(struct memory_image *image)
{
    if (!image->live || image->live->given_up)
        return;
    for (size_t i = 0; i < image->maps.n; i++)
        if (is_ring(&image->maps.items[i]))
            live_give_up(image->live);
}

void memory_held_again(const struct memory_set *set, struct tracee *t)
{
    for (size_t i = 0; i < set->images.n; i++)
        if (set->images.items[i]->pid == t->pid && set->images.items[i]->live)
            tracee_use_timeouts(t, &set->images.items[i]->live->timeouts);
}

/* What a mapping has: */
struct judged {
    struct page_runs kept;  /* the copy is what they hold */
    struct page_runs other; /* marked, but for some reason never copied */
    struct page_runs now;   /* to be copied now */
};

static void judged_clear(struct judged *j)
{
    page_runs_clear(&j->kept);
    page_runs_clear(&j->other);
    page_runs_clear(&j->now);
}

static int judge_marked(const struct memory_live *live, uint64_t first, uint64_t count,
                        const struct page_runs *unmarked, struct judged *j)
{
    _cleanup_page_runs_ struct page_runs all = {0}, marked = {0}, covered = {0};
    int r = page_runs_add(&all, first, count);

    if (r == 0)
        r = page_runs_subtract(&all, unmarked, &marked);
    if (r == 0)
        r = page_runs_within(&live->covered, first, count, &covered);
    if (r == 0)
        r = page_runs_subtract(&marked, &covered, &j->other);
    return r == 0 ? page_runs_subtract(&marked, &j->other, &j->kept) : r;
}

static int scan(struct memory_image *image, uint64_t first, uint64_t end, enum page_filter filter,
                struct judged *j, struct crs_error *err)
{
    _cleanup_page_runs_ struct page_runs runs = {0};
    int r = pagemap_scan(image->pagemap_fd, true, image->guard_bit, first * PAGE, end * PAGE, 0,
                         filter, &runs, &image->guards, err);

    return r == 0 && page_runs_unite(&j->now, &runs) < 0 ? out_of_memory(err) : r;
}

/* Which of those without a mark are there. */
static int scan_unmarked(struct memory_image *image, const struct page_runs *unmarked,
                         struct judged *j, struct crs_error *err)
{
    struct page_runs_at at = page_runs_begin(unmarked);
    struct page_run run;
    int r = 0;

    while (r == 0 && page_runs_next_near(&at, NEAR_PAGES, &run))
        r = scan(image, run.first, run.first + run.count, PAGES_WRITTEN, j, err);
    return r;
}

static int judge(struct memory_image *image, const struct memory_vma *vma,
                 const struct page_runs *unmarked, struct judged *j, struct crs_error *err)
{
    uint64_t first = PAGE_OF(vma->map.start), count = PAGE_OF(vma->map.end) - first;

    if (judge_marked(image->live, first, count, unmarked, j) < 0)
        return out_of_memory(err);
    int r = scan_unmarked(image, unmarked, j, err);
    struct page_runs_at at = page_runs_begin(&j->other);
    struct page_run run;
    while (r == 0 && page_runs_next(&at, &run))
        r = scan(image, run.first, run.first + run.count, PAGES_ANONYMOUS, j, err);
    return r;
}

/* What is copied now is marked now, for the next checkpoint. What fails leaves nothing to that. */
static void mark_fresh(struct memory_image *image, const struct page_runs *now)
{
    struct memory_live *live = image->live;
    _cleanup_page_runs_ struct page_runs marked = {0};
    struct page_runs_at at = page_runs_begin(now);
    struct page_run run;
    int r = 0;

    while (live->lasting && r == 0 && page_runs_next_near(&at, NEAR_PAGES, &run))
        r = pagemap_protect(image->pagemap_fd, image->guard_bit, run.first * PAGE,
                            (run.first + run.count) * PAGE, &marked, NULL);
    if (live->lasting && (r < 0 || page_runs_unite(&live->fresh, now) < 0))
        live->lasting = false;
}

int memory_live_plan(struct memory_image *image, const struct memory_vma *vma, uint32_t sink,
                     uint32_t how, struct crs_error *err)
{
    struct memory_live *live = image->live;
    _cleanup_page_runs_ struct page_runs unmarked = {0};
    _cleanup_(judged_clear) struct judged j = {0};

    if (!live || live->given_up || vma->pages != PAGES_TOUCHED || vma->huge_page_bytes ||
        !track_covers(live->track, vma->map.start, vma->map.end))
        return 1;
    /* One that was moved, or made anew in the same place, is tracked no more. */
    if (pagemap_unprotected(image->pagemap_fd, vma->map.start, vma->map.end, &unmarked, NULL) < 0)
        return 1;
    int r = judge(image, vma, &unmarked, &j, err);
    if (r == 0)
        r = copy_plan_add_set(&image->plan, sink, &j.now, how, err);
    if (r == 0 &&
        (page_runs_unite(&live->kept, &j.kept) < 0 || page_runs_unite(&live->late, &j.now) < 0))
        r = out_of_memory(err);
    if (r == 0)
        mark_fresh(image, &j.now);
    return r;
}

/* ---- after the thaw ---- */

static uint64_t last_page(const Crs__Chunk *chunk)
{
    struct chunk_run run;
    uint64_t last = 0;

    chunk_runs_each (run, chunk)
        if (!run.dropped)
            last = run.first + run.count;
    return last;
}

struct chunk_place {
    uint64_t last_page;
    Crs__Chunk *chunk;
};

static int compare_places(const void *a, const void *b)
{
    uint64_t x = ((const struct chunk_place *)a)->last_page;
    uint64_t y = ((const struct chunk_place *)b)->last_page;

    return (x > y) - (x < y);
}

/* A reader that finds them in order needn't sort their runs. One of few pages here and there comes
 * last. Where there is no memory for it, they stay as they are. */
static void sort_chunks(Crs__AddressSpace *space)
{
    _cleanup_free_ struct chunk_place *places = calloc(space->n_chunks + 1, sizeof(*places));

    for (size_t i = 0; places && i < space->n_chunks; i++)
        places[i] = (struct chunk_place){last_page(space->chunks[i]), space->chunks[i]};
    if (places)
        qsort(places, space->n_chunks, sizeof(*places), compare_places);
    for (size_t i = 0; places && i < space->n_chunks; i++)
        space->chunks[i] = places[i].chunk;
}

int memory_live_finish(struct memory_image *image, struct crs_error *err)
{
    struct memory_live *live = image->live;
    Crs__AddressSpace *space = image->space;

    if (live->given_up || live->chunks.n == 0)
        return 0;
    if (drop_from_all(live, &live->kept, false) < 0 || live_record_hot(live, space) < 0)
        return out_of_memory(err);
    Crs__Chunk **chunks =
        reallocarray(space->chunks, space->n_chunks + live->chunks.n, sizeof(*chunks));
    if (!chunks)
        return out_of_memory(err);
    space->chunks = chunks;
    for (size_t i = 0; i < live->chunks.n; i++)
        if (live->chunks.items[i])
            space->chunks[space->n_chunks++] = TAKE_PTR(live->chunks.items[i]);
    sort_chunks(space);
    return 0;
}
