/*
 * page_runs.h - sets of pages, as sorted runs
 */
#ifndef PROC_PAGE_RUNS_H
#define PROC_PAGE_RUNS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/array.h"

/* Pages first, first + 1, ... by page number of their address. */
struct page_run {
    uint64_t first, count;
};
struct page_runs {
    struct page_run *items;
    size_t n, room;
};

/* Add pages at the end, joined to the last run if they follow it. 0 or -ENOMEM. */
int page_runs_add(struct page_runs *runs, uint64_t first, uint64_t count);
uint64_t page_runs_count(const struct page_runs *runs);
void page_runs_clear(struct page_runs *runs);
#define _cleanup_page_runs_ __attribute__((cleanup(page_runs_clear)))

/* Sets: runs in order of their pages, none twice, none empty. */

/* Those of a that aren't in b, into *ret, which is empty. 0 or -ENOMEM. */
int page_runs_subtract(const struct page_runs *a, const struct page_runs *b, struct page_runs *ret);
/* Add those of b to a. 0 or -ENOMEM; a is as before then. */
int page_runs_unite(struct page_runs *a, const struct page_runs *b);
/* How many of the pages [first, first + count) are in it. *at: 0, or what it was set to before;
 * with it, those that are asked for in their order are found faster. */
uint64_t page_runs_overlap(const struct page_runs *runs, uint64_t first, uint64_t count,
                           size_t *at);
bool page_runs_have(const struct page_runs *runs, uint64_t page);
/* Those of [first, first + count) in a, into *ret, which is empty. 0 or -ENOMEM. */
int page_runs_within(const struct page_runs *a, uint64_t first, uint64_t count,
                     struct page_runs *ret);

#endif
