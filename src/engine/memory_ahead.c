/*
 * memory_ahead.c - memory copied while the processes run
 *
 * In rounds: all pages that were written to since the last round are marked, and copied. When few
 * are left, or as many as before, the freeze copies the rest. What isn't known to be unchanged then
 * (memory_live.c) is copied there in any case.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/io.h"
#include "engine/pace.h"
#include "memory_ahead.h"

#define FEW_PAGES  1024 /* left to the freeze */
#define MAX_ROUNDS 8
#define MAX_LIVE   128 /* processes: each takes three descriptors of ours */

/* ---- rounds ---- */

static int plan_marked(const struct memory_live *live, struct copy_plan *plan,
                       struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < live->ranges.n; i++) {
        const struct live_range *range = &live->ranges.items[i];
        _cleanup_page_runs_ struct page_runs runs = {0};
        if (page_runs_within(&live->marked, PAGE_OF(range->start),
                             PAGE_OF(range->end - range->start), &runs) < 0)
            return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
        r = copy_plan_add_set(plan, 0, &runs, range->how, err);
    }
    return r;
}

static int take_chunk(struct memory_live *live, Crs__Chunk **chunk)
{
    Crs__Chunk **place = *chunk ? ARRAY_ADD(&live->chunks) : NULL;

    if (place)
        *place = TAKE_PTR(*chunk);
    return *chunk ? -ENOMEM : 0;
}

static int take_chunks(struct memory_live *live, struct copy_plan *plan)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < plan->chunks.n; i++) {
        r = take_chunk(live, &plan->chunks.items[i].same);
        if (r == 0)
            r = take_chunk(live, &plan->chunks.items[i].result);
    }
    return r;
}

static int compare_pages(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void page_list_clear(struct page_list *list)
{
    free(list->items);
}

/* Those that were marked are covered now, but for some that couldn't be read. */
static int cover(struct memory_live *live, struct page_list *missed)
{
    _cleanup_page_runs_ struct page_runs read = {0}, unread = {0};
    int r = 0;

    if (missed->n > 1)
        qsort(missed->items, missed->n, sizeof(*missed->items), compare_pages);
    for (size_t i = 0; r == 0 && i < missed->n; i++)
        r = page_runs_add(&unread, missed->items[i], 1);
    if (r == 0)
        r = page_runs_subtract(&live->marked, &unread, &read);
    return r < 0 ? r : page_runs_unite(&live->covered, &read);
}

/*
 * Is the program faster than we are? Of what was marked more was written to than was copied, and
 * that is no small part of it, which it may write to over and over. Nothing is gained then.
 */
static bool too_fast(struct copy_source *source, uint64_t done_pages)
{
    struct ahead *a = source->enough_arg;
    uint64_t written = live_count_written(a->set, a->all / 4);

    a->left = a->left || (written > a->done + done_pages && written > a->all / 4);
    return a->left;
}

static int copy_marked(struct ahead *a, struct memory_image *image, struct copy_plan *plan,
                       uint64_t *done, uint64_t all, struct crs_error *err)
{
    struct memory_live *live = image->live;
    _cleanup_(page_list_clear) struct page_list missed = {0};
    struct copy_source source = {image,
                                 a->ctx,
                                 plan,
                                 image->pid,
                                 live->mem_fd,
                                 &missed,
                                 PTHREAD_MUTEX_INITIALIZER,
                                 .enough = a->may_leave ? too_fast : NULL,
                                 .enough_arg = a};
    struct copy_buffer *buffer = copy_buffer_new(0, err);
    uint64_t begun_us = now_us();

    if (!buffer)
        return -ENOMEM;
    int r = copy_plan_run(&source, buffer, done, all, a->cancel, a->deadline_us, err);
    a->set->copied_bytes += plan->n_pages * PAGE;
    a->set->copied_us += now_us() - begun_us;
    copy_buffer_free(buffer);
    if (r == -ESRCH) { /* it has ended */
        live_give_up(live);
        return 0;
    }
    if (r == 0 && a->left) /* nothing of it will count */
        return 0;
    if (r == 0 && (take_chunks(live, plan) < 0 || cover(live, &missed) < 0))
        r = crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
    return r;
}

static int copy_image(struct ahead *a, struct memory_image *image, uint64_t *done, uint64_t all,
                      struct crs_error *err)
{
    struct copy_plan plan = {0};
    int r = plan_marked(image->live, &plan, err);

    if (r == 0)
        r = copy_marked(a, image, &plan, done, all, err);
    copy_plan_clear(&plan);
    return r;
}

static bool is_early(const struct memory_image *image)
{
    return live_takes_part(image) && image->live->early;
}

static bool is_in_round(const struct ahead *a, const struct memory_image *image)
{
    return a->early ? is_early(image) : live_takes_part(image);
}

/* *ret_copied: pages. */
static int copy_round(struct ahead *a, uint64_t *ret_copied, struct crs_error *err)
{
    struct memory_image **images = a->set->images.items;
    uint64_t all = 0, done = 0;
    size_t n = a->set->images.n;
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        if (is_in_round(a, images[i]) && !images[i]->live->is_marked)
            r = ahead_mark(images[i]->pid, images[i]->live, a->round == 0, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (is_in_round(a, images[i])) {
            if (!images[i]->live->is_marked)
                ahead_settle(a, images[i]);
            images[i]->live->is_marked = false;
            all += page_runs_count(&images[i]->live->marked);
        }
    a->all = all;
    for (size_t i = 0; r == 0 && i < n && !a->left; i++)
        if (is_in_round(a, images[i])) {
            a->done = done;
            r = copy_image(a, images[i], &done, all, err);
        }
    *ret_copied = all;
    return r;
}

/* What the session knows, while the mappings are read: the first round, if all goes well. */
static int copy_early(struct ahead *a, uint64_t *ret_copied, struct crs_error *err)
{
    struct memory_set *set = a->set;
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < set->images.n && n < MAX_LIVE; i++) {
        r = ahead_begin_early(a, set->images.items[i], err);
        n += set->images.items[i]->live != NULL;
    }
    a->early = true;
    if (r == 0)
        r = copy_round(a, ret_copied, err);
    a->early = false;
    return r;
}

/* Where few are left, and no more rounds follow, the freeze needn't wait for the mappings. */
static void borrow_mappings(struct ahead *a)
{
    struct memory_set *set = a->set;

    for (size_t i = 0; i < set->images.n; i++)
        if (!is_early(set->images.items[i]))
            return;
    if (live_count_written(set, FEW_PAGES) > FEW_PAGES)
        return;
    for (size_t i = 0; i < set->images.n; i++)
        memory_borrow_mappings(set->images.items[i]);
}

static bool all_were_early(const struct memory_set *set)
{
    for (size_t i = 0; i < set->images.n; i++)
        if (live_takes_part(set->images.items[i]) && !set->images.items[i]->live->early)
            return false;
    return true;
}

/* Who gives a time wants the snapshot in it, if need be with a longer pause. */
static bool has_time(const struct ahead *a, uint64_t pages)
{
    uint64_t now = now_us();

    return !a->deadline_us || pace_has_time(a->deadline_us > now ? a->deadline_us - now : 0,
                                            pages * PAGE, a->set->copied_bytes, a->set->copied_us);
}

/* As long as each round leaves half as much as the one before, at most. `early`: pages that the
 * early round has copied, if it was one of all. */
static int run_rounds(struct ahead *a, uint64_t early, uint64_t *ret_left, struct crs_error *err)
{
    bool begun = all_were_early(a->set);
    uint64_t copied = early, left = begun ? live_count_written(a->set, FEW_PAGES) : UINT64_MAX;
    int r = 0;

    for (int round = begun; r == 0 && round < MAX_ROUNDS && left > FEW_PAGES && !a->left; round++) {
        if (round > begun && (left > copied / 2 || !has_time(a, left)))
            break;
        a->round = round;
        r = copy_round(a, &copied, err);
        left = live_count_written(a->set, FEW_PAGES);
    }
    for (size_t i = 0; a->left && i < a->set->images.n; i++)
        if (a->set->images.items[i]->live) {
            live_give_up(a->set->images.items[i]->live);
            track_free(TAKE_PTR(a->set->images.items[i]->live->track));
        }
    a->set->fork_first = a->left;
    *ret_left = a->left ? 0 : left;
    return r;
}

int memory_copy_ahead(struct memory_set *set, struct kobj_dump *ctx, uint64_t least_bytes,
                      bool may_leave, const volatile int *cancel, uint64_t deadline_us,
                      struct crs_error *ret_reason, struct crs_error *err)
{
    struct ahead a = {
        set, ctx, cancel, deadline_us, least_bytes, ret_reason, .may_leave = may_leave};
    uint64_t early = 0, left;
    size_t n = 0;

    if (track_check(ret_reason) < 0)
        return memory_prepare_end(set, err);
    memory_same_begin(set);
    int r = copy_early(&a, &early, err);
    if (r == 0 && !a.left)
        borrow_mappings(&a);
    if (r == 0)
        r = memory_prepare_end(set, err);
    memory_note_huge(set);
    for (size_t i = 0; r == 0 && i < set->images.n && n < MAX_LIVE; i++) {
        r = ahead_begin(&a, set->images.items[i], err);
        n += set->images.items[i]->live != NULL;
    }
    if (r == 0 && memory_is_live(set)) {
        r = run_rounds(&a, early, &left, err);
        memory_late_prepare(set, left);
    }
    return r;
}

bool memory_is_live(const struct memory_set *set)
{
    for (size_t i = 0; i < set->images.n; i++)
        if (live_takes_part(set->images.items[i]))
            return true;
    return false;
}

uint64_t memory_held_us(const struct memory_set *set, uint64_t *ret_longest)
{
    if (ret_longest)
        *ret_longest = set->longest_held_us;
    return set->held_us;
}
