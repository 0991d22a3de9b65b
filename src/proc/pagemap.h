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
#include "base/error.h"
#include "page_runs.h"

/* What is looked for. */
enum page_filter {
    PAGES_ANONYMOUS,    /* there, swapped out too, and not the zero page */
    PAGES_CHANGED_FILE, /* of a private mapping of a file: those that aren't the file's own */
    PAGES_WRITTEN,      /* as PAGES_ANONYMOUS, but without the mark of pagemap_protect(); with the
                         * ioctl only */
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

/*
 * Which pages are written to: with the ioctl, in mappings that a userfaultfd tracks (see
 * tracee/track.h); others are passed over. A page that is there can be given a mark, which the next
 * write to it takes away, whoever makes it. A page that goes (munmap, MADV_DONTNEED) has none any
 * more. `guards`: the kernel tells guard pages from others; where it doesn't, pages that are
 * swapped out get no mark.
 *
 * Give the mark to all pages of [start, end) that are there, aren't the zero page and have none,
 * and add them to *ret: what is read of them from now on is what they hold, as long as they keep
 * the mark.
 */
int pagemap_protect(int fd, bool guards, uint64_t start, uint64_t end, struct page_runs *ret,
                    struct crs_error *err);
/* Which pages would that give? */
int pagemap_written(int fd, bool guards, uint64_t start, uint64_t end, struct page_runs *ret,
                    struct crs_error *err);
/* All pages of [start, end) without a mark, whether they are there or not; this is fast. -EPERM: it
 * isn't tracked, or not all of it. */
int pagemap_unprotected(int fd, uint64_t start, uint64_t end, struct page_runs *ret,
                        struct crs_error *err);

/* The pages of [start, end) that are there; `huge`: those that are part of transparent huge ones.
 * With the ioctl only. */
int pagemap_present(int fd, bool huge, uint64_t start, uint64_t end, struct page_runs *ret,
                    struct crs_error *err);

#endif
