/*
 * page_runs.h - sets of pages, as sorted runs
 *
 * There may be millions of runs, where every second page of a program is there: they are kept as
 * differences, in two or three bytes each (base/numbers.h).
 *
 *     struct page_run run;
 *     page_runs_each (run, &set)
 *         ...
 */
#ifndef PROC_PAGE_RUNS_H
#define PROC_PAGE_RUNS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/array.h"
#include "base/numbers.h"

/* Pages first, first + 1, ... by page number of their address. */
struct page_run {
    uint64_t first, count;
};

/* A place in the code: of run number `run`, which begins at `first`; the one before it ends at
 * `before`. */
struct page_runs_mark {
    uint64_t first, before;
    size_t run, at;
};

struct page_runs {
    size_t n;             /* how many */
    struct page_run last; /* which may still grow: all but this one are coded */
    uint64_t before;      /* where the one before it ends */
    struct numbers code;  /* of each: how far from the end of the one before, count */
    ARRAY_OF(struct page_runs_mark) marks; /* of every 64th, to search by */
};

/* Add pages at the end, joined to the last run if they follow it. 0 or -ENOMEM. */
int page_runs_add(struct page_runs *runs, uint64_t first, uint64_t count);
uint64_t page_runs_count(const struct page_runs *runs); /* pages */
void page_runs_clear(struct page_runs *runs);
#define _cleanup_page_runs_ __attribute__((cleanup(page_runs_clear)))

/* One run after the other. */
struct page_runs_at {
    const struct page_runs *runs;
    size_t run, at;
    uint64_t before;
};
struct page_runs_at page_runs_begin(const struct page_runs *runs);
/* False: there's none left. */
bool page_runs_next(struct page_runs_at *at, struct page_run *ret);
/* The next one, joined with those behind it that are `near` pages from it or less. */
bool page_runs_next_near(struct page_runs_at *at, uint64_t near, struct page_run *ret);
#define page_runs_each(run, set)                                                                   \
    for (struct page_runs_at at_##run = page_runs_begin(set); page_runs_next(&at_##run, &(run));)

/* Sets: runs in order of their pages, none twice, none empty. */

/* Those of a that aren't in b, into *ret, which is empty. 0 or -ENOMEM. */
int page_runs_subtract(const struct page_runs *a, const struct page_runs *b, struct page_runs *ret);
/* Add those of b to a. 0 or -ENOMEM; a is as before then. */
int page_runs_unite(struct page_runs *a, const struct page_runs *b);
/* Before the first run that ends behind the page. */
struct page_runs_at page_runs_find(const struct page_runs *runs, uint64_t page);
/* How many of the pages [first, first + count) are in it. */
uint64_t page_runs_overlap(const struct page_runs *runs, uint64_t first, uint64_t count);
bool page_runs_have(const struct page_runs *runs, uint64_t page);
/* Those of [first, first + count) in a, into *ret, which is empty. 0 or -ENOMEM. */
int page_runs_within(const struct page_runs *a, uint64_t first, uint64_t count,
                     struct page_runs *ret);

#endif
