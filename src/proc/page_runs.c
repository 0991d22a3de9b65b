/* page_runs.c - sets of pages, as sorted runs */
#include <errno.h>
#include <stdlib.h>

#include "page_runs.h"

#define NEAR_RUNS 8

int page_runs_add(struct page_runs *runs, uint64_t first, uint64_t count)
{
    struct page_run *last = runs->n ? &runs->items[runs->n - 1] : NULL;

    if (last && last->first + last->count == first) {
        last->count += count;
        return 0;
    }
    last = ARRAY_ADD(runs);
    if (!last)
        return -ENOMEM;
    *last = (struct page_run){first, count};
    return 0;
}

uint64_t page_runs_count(const struct page_runs *runs)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < runs->n; i++)
        sum += runs->items[i].count;
    return sum;
}

void page_runs_clear(struct page_runs *runs)
{
    free(runs->items);
    *runs = (struct page_runs){0};
}

int page_runs_subtract(const struct page_runs *a, const struct page_runs *b, struct page_runs *ret)
{
    size_t k = 0;

    for (size_t i = 0; i < a->n; i++) {
        uint64_t at = a->items[i].first, end = at + a->items[i].count;
        while (k < b->n && b->items[k].first + b->items[k].count <= at)
            k++;
        for (size_t j = k; at < end; j++) {
            uint64_t hole = j < b->n && b->items[j].first < end ? b->items[j].first : end;
            if (hole > at && page_runs_add(ret, at, hole - at) < 0)
                return -ENOMEM;
            at = hole == end ? end : b->items[j].first + b->items[j].count;
        }
    }
    return 0;
}

static int add_or_join(struct page_runs *runs, const struct page_run *run)
{
    struct page_run *last = runs->n ? &runs->items[runs->n - 1] : NULL;
    uint64_t end = run->first + run->count;

    if (!last || last->first + last->count < run->first)
        return page_runs_add(runs, run->first, run->count);
    if (end > last->first + last->count)
        last->count = end - last->first;
    return 0;
}

int page_runs_unite(struct page_runs *a, const struct page_runs *b)
{
    struct page_runs both = {0};
    size_t i = 0, k = 0;
    int r = 0;

    while (r == 0 && (i < a->n || k < b->n)) {
        bool from_a = k == b->n || (i < a->n && a->items[i].first <= b->items[k].first);
        r = add_or_join(&both, from_a ? &a->items[i++] : &b->items[k++]);
    }
    if (r < 0) {
        page_runs_clear(&both);
        return r;
    }
    page_runs_clear(a);
    *a = both;
    return 0;
}

/* The first run that ends behind the page. */
static size_t find(const struct page_runs *runs, uint64_t page)
{
    size_t low = 0, high = runs->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (runs->items[middle].first + runs->items[middle].count <= page)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The same, where that is near the place that was found for pages before. */
static size_t find_from(const struct page_runs *runs, uint64_t page, size_t at)
{
    if (at > runs->n || (at > 0 && runs->items[at - 1].first + runs->items[at - 1].count > page))
        return find(runs, page);
    for (size_t i = at; i < runs->n && i < at + NEAR_RUNS; i++)
        if (runs->items[i].first + runs->items[i].count > page)
            return i;
    return find(runs, page);
}

uint64_t page_runs_overlap(const struct page_runs *runs, uint64_t first, uint64_t count, size_t *at)
{
    uint64_t n = 0, end = first + count;

    *at = find_from(runs, first, *at);
    for (size_t i = *at; i < runs->n && runs->items[i].first < end; i++) {
        uint64_t from = runs->items[i].first > first ? runs->items[i].first : first;
        uint64_t to = runs->items[i].first + runs->items[i].count;
        n += (to < end ? to : end) - from;
    }
    return n;
}

bool page_runs_have(const struct page_runs *runs, uint64_t page)
{
    size_t i = find(runs, page);

    return i < runs->n && runs->items[i].first <= page;
}

int page_runs_within(const struct page_runs *a, uint64_t first, uint64_t count,
                     struct page_runs *ret)
{
    uint64_t end = first + count;

    for (size_t i = find(a, first); i < a->n && a->items[i].first < end; i++) {
        uint64_t from = a->items[i].first > first ? a->items[i].first : first;
        uint64_t to = a->items[i].first + a->items[i].count;
        if (page_runs_add(ret, from, (to < end ? to : end) - from) < 0)
            return -ENOMEM;
    }
    return 0;
}
