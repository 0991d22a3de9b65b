/*
 * pagemap.h - which pages of a process hold data: /proc/PID/pagemap
 *
 * Newer kernels (6.7) answer by an ioctl that skips what isn't there; on older ones the entries of
 * all pages are read.
 */
#ifndef PROC_PAGEMAP_H
#define PROC_PAGEMAP_H

#include <stdbool.h>
#include <stdint.h>
#include "base/array.h"
#include "base/error.h"

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

/* What is looked for. */
enum page_filter {
    PAGES_ANONYMOUS,    /* there, swapped out too, and not the zero page */
    PAGES_CHANGED_FILE, /* of a private mapping of a file: those that aren't the file's own */
};

/* Add the pages of n entries (as read from the file, for pages first...) that match. */
int pagemap_entries(const uint64_t *entries, size_t n, uint64_t first, enum page_filter filter,
                    struct page_runs *ret, struct crs_error *err);

/* Does the kernel have the ioctl, and does it know guard pages? (fd: an open /proc/PID/pagemap.) */
void pagemap_can_scan(int fd, bool *ret_scan, bool *ret_guards);

/*
 * Add the pages of [start, end) that match to *ret, and the guard pages (madvise
 * MADV_GUARD_INSTALL) to *ret_guards. Without the ioctl: reads no further than `limit` pages
 * that are there (as smaps counts them), so that a huge empty reservation costs nothing.
 */
int pagemap_scan(int fd, bool can_scan, bool guards, uint64_t start, uint64_t end, uint64_t limit,
                 enum page_filter filter, struct page_runs *ret, struct page_runs *ret_guards,
                 struct crs_error *err);

#endif
