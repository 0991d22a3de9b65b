/* page_runs.c - sets of pages, as sorted runs */
#include <errno.h>
#include <stdlib.h>

#include "page_runs.h"

#define RUNS_A_MARK 64

static uint64_t end_of(const struct page_run *run)
{
    return run->first + run->count;
}

/* The last one grows no more. */
static int code_last(struct page_runs *runs)
{
    const struct page_run *last = &runs->last;

    if ((runs->n - 1) % RUNS_A_MARK == 0) {
        struct page_runs_mark *mark = ARRAY_ADD(&runs->marks);
        if (!mark)
            return -ENOMEM;
        *mark = (struct page_runs_mark){last->first, runs->before, runs->n - 1, runs->code.size};
    }
    if (numbers_add(&runs->code, number_of_difference(runs->before, last->first)) < 0 ||
        numbers_add(&runs->code, last->count) < 0)
        return -ENOMEM;
    runs->before = end_of(last);
    return 0;
}

int page_runs_add(struct page_runs *runs, uint64_t first, uint64_t count)
{
    if (runs->n > 0 && end_of(&runs->last) == first) {
        runs->last.count += count;
        return 0;
    }
    if (runs->n > 0 && code_last(runs) < 0)
        return -ENOMEM;
    runs->last = (struct page_run){first, count};
    runs->n++;
    return 0;
}

void page_runs_clear(struct page_runs *runs)
{
    numbers_clear(&runs->code);
    free(runs->marks.items);
    *runs = (struct page_runs){0};
}

/* ---- one after the other ---- */

struct page_runs_at page_runs_begin(const struct page_runs *runs)
{
    return (struct page_runs_at){.runs = runs};
}

bool page_runs_next(struct page_runs_at *at, struct page_run *ret)
{
    const struct page_runs *runs = at->runs;
    uint64_t difference, count;

    if (at->run >= runs->n)
        return false;
    if (at->run == runs->n - 1) {
        *ret = runs->last;
    } else {
        const uint8_t *code = runs->code.data + at->at, *end = runs->code.data + runs->code.size;
        if (!number_get(&code, end, &difference) || !number_get(&code, end, &count))
            return false; /* can't be */
        *ret = (struct page_run){number_apply_difference(at->before, difference), count};
        at->at = code - runs->code.data;
    }
    at->before = end_of(ret);
    at->run++;
    return true;
}

bool page_runs_next_near(struct page_runs_at *at, uint64_t near, struct page_run *ret)
{
    struct page_run run;

    if (!page_runs_next(at, ret))
        return false;
    for (struct page_runs_at ahead = *at;
         page_runs_next(&ahead, &run) && run.first - end_of(ret) <= near; *at = ahead)
        ret->count = end_of(&run) - ret->first;
    return true;
}

uint64_t page_runs_count(const struct page_runs *runs)
{
    struct page_run run;
    uint64_t sum = 0;

    page_runs_each (run, runs)
        sum += run.count;
    return sum;
}

/* ---- sets ---- */

int page_runs_subtract(const struct page_runs *a, const struct page_runs *b, struct page_runs *ret)
{
    struct page_runs_at holes = page_runs_begin(b);
    struct page_run run, hole;
    bool more = page_runs_next(&holes, &hole);

    page_runs_each (run, a) {
        uint64_t at = run.first, end = end_of(&run);
        while (at < end) {
            while (more && end_of(&hole) <= at)
                more = page_runs_next(&holes, &hole);
            uint64_t until = more && hole.first < end ? hole.first : end;
            if (until > at && page_runs_add(ret, at, until - at) < 0)
                return -ENOMEM;
            at = until == end ? end : end_of(&hole);
        }
    }
    return 0;
}

static int add_or_join(struct page_runs *runs, const struct page_run *run)
{
    struct page_run *last = runs->n ? &runs->last : NULL;

    if (!last || end_of(last) < run->first)
        return page_runs_add(runs, run->first, run->count);
    if (end_of(run) > end_of(last))
        last->count = end_of(run) - last->first;
    return 0;
}

static int unite(const struct page_runs *a, const struct page_runs *b, struct page_runs *ret)
{
    struct page_runs_at at_a = page_runs_begin(a), at_b = page_runs_begin(b);
    struct page_run x, y;
    bool more_a = page_runs_next(&at_a, &x), more_b = page_runs_next(&at_b, &y);
    int r = 0;

    while (r == 0 && (more_a || more_b)) {
        bool from_a = !more_b || (more_a && x.first <= y.first);
        r = add_or_join(ret, from_a ? &x : &y);
        if (from_a)
            more_a = page_runs_next(&at_a, &x);
        else
            more_b = page_runs_next(&at_b, &y);
    }
    return r;
}

int page_runs_unite(struct page_runs *a, const struct page_runs *b)
{
    struct page_runs both = {0};
    int r = b->n > 0 ? unite(a, b, &both) : 0;

    if (b->n == 0)
        return 0;
    if (r < 0) {
        page_runs_clear(&both);
        return r;
    }
    page_runs_clear(a);
    *a = both;
    return 0;
}

struct page_runs_at page_runs_find(const struct page_runs *runs, uint64_t page)
{
    struct page_runs_at at = page_runs_begin(runs), ahead;
    size_t low = 0, high = runs->marks.n;
    struct page_run run;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (runs->marks.items[middle].first <= page)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0) {
        const struct page_runs_mark *mark = &runs->marks.items[low - 1];
        at = (struct page_runs_at){runs, mark->run, mark->at, mark->before};
    }
    for (ahead = at; page_runs_next(&ahead, &run) && end_of(&run) <= page;)
        at = ahead;
    return at;
}

uint64_t page_runs_overlap_next(struct page_runs_at *at, uint64_t first, uint64_t count)
{
    uint64_t n = 0, end = first + count;
    struct page_runs_at ahead = *at;
    struct page_run run;

    while (page_runs_next(&ahead, &run) && run.first < end) {
        uint64_t from = run.first > first ? run.first : first;
        uint64_t to = end_of(&run) < end ? end_of(&run) : end;
        n += to > from ? to - from : 0;
        if (end_of(&run) <= end)
            *at = ahead;
    }
    return n;
}

uint64_t page_runs_overlap(const struct page_runs *runs, uint64_t first, uint64_t count)
{
    struct page_runs_at at = page_runs_find(runs, first);

    return page_runs_overlap_next(&at, first, count);
}

bool page_runs_have(const struct page_runs *runs, uint64_t page)
{
    struct page_runs_at at = page_runs_find(runs, page);
    struct page_run run;

    return page_runs_next(&at, &run) && run.first <= page;
}

int page_runs_within(const struct page_runs *a, uint64_t first, uint64_t count,
                     struct page_runs *ret)
{
    struct page_runs_at at = page_runs_find(a, first);
    uint64_t end = first + count;
    struct page_run run;

    while (page_runs_next(&at, &run) && run.first < end) {
        uint64_t from = run.first > first ? run.first : first;
        uint64_t to = end_of(&run) < end ? end_of(&run) : end;
        if (page_runs_add(ret, from, to - from) < 0)
            return -ENOMEM;
    }
    return 0;
}
