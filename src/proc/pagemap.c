/* pagemap.c - which pages of a process hold data: /proc/PID/pagemap */
#include <errno.h>
#include <linux/ioctl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "pagemap.h"

#define PAGE_SHIFT    12
#define N_ENTRIES     8192 /* that one read tells */
#define HUGE_PAGE     (2ull << 20)
#define PROTECT_BYTES (64ull << 20) /* at most in one call, which holds a lock of the process */

/* The kernel's interface (linux/fs.h of 6.7; the guard bit is of 6.15), not in older headers. */
struct scan_region {
    uint64_t start, end, categories;
};
struct scan_arg {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_IOCTL   _IOWR('f', 16, struct scan_arg)
#define SCAN_ALLOWED (1 << 0) /* of a mapping that is tracked */
#define SCAN_WRITTEN (1 << 1)
#define SCAN_FILE    (1 << 2)
#define SCAN_PRESENT (1 << 3)
#define SCAN_SWAPPED (1 << 4)
#define SCAN_PFNZERO (1 << 5)
#define SCAN_HUGE    (1 << 6)
#define SCAN_GUARD   (1 << 8)
#define SCAN_PROTECT (1 << 0) /* flags: set the mark of those that match; */
#define SCAN_TRACKED (1 << 1) /* fail where no userfaultfd lets it be set */

/* An entry of the file. */
#define ENTRY_PRESENT (1ULL << 63)
#define ENTRY_SWAPPED (1ULL << 62)
#define ENTRY_FILE    (1ULL << 61)

static bool entry_matches(uint64_t entry, enum page_filter filter)
{
    if (!(entry & (ENTRY_PRESENT | ENTRY_SWAPPED)))
        return false;
    return filter == PAGES_ANONYMOUS || !(entry & ENTRY_FILE);
}

int pagemap_entries(const uint64_t *entries, size_t n, uint64_t first, enum page_filter filter,
                    struct page_runs *ret, struct crs_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (entry_matches(entries[i], filter) && page_runs_add(ret, first + i, 1) < 0)
            return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
    return 0;
}

static bool scan_knows(int fd, uint64_t category)
{
    struct scan_arg arg = {.size = sizeof(arg),
                           .start = 1 << PAGE_SHIFT,
                           .end = 2 << PAGE_SHIFT,
                           .category_anyof_mask = category,
                           .return_mask = category};

    return ioctl(fd, SCAN_IOCTL, &arg) >= 0;
}

void pagemap_can_scan(int fd, bool *ret_scan, bool *ret_guards)
{
    *ret_scan = scan_knows(fd, SCAN_PRESENT);
    *ret_guards = *ret_scan && scan_knows(fd, SCAN_GUARD);
}

static int add_regions(const struct scan_region *regions, size_t n, uint64_t *next,
                       struct page_runs *ret, struct page_runs *ret_guards)
{
    for (size_t i = 0; i < n; i++) {
        /* With more regions than fit, the kernel may give some of them twice. */
        uint64_t start = regions[i].start < *next ? *next : regions[i].start;
        if (start >= regions[i].end)
            continue;
        struct page_runs *runs =
            regions[i].categories & SCAN_GUARD && ret_guards ? ret_guards : ret;
        if (page_runs_add(runs, start >> PAGE_SHIFT, (regions[i].end - start) >> PAGE_SHIFT) < 0)
            return -ENOMEM;
        *next = regions[i].end;
    }
    return 0;
}

/* One call after the other, until all of [start, end) was looked at. -EPERM: it isn't tracked. */
static int scan_all(int fd, const struct scan_arg *what, uint64_t start, uint64_t end,
                    struct page_runs *ret, struct page_runs *ret_guards, struct crs_error *err)
{
    struct scan_region regions[512];

    while (start < end) {
        struct scan_arg arg = *what;
        arg.size = sizeof(arg);
        arg.start = start;
        arg.end = end;
        arg.vec = (uintptr_t)regions;
        arg.vec_len = ELEMENTS(regions);
        int n = ioctl(fd, SCAN_IOCTL, &arg);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return crs_fail_errno(err, CRS_FAILED, "can't scan the pages at %#llx",
                                  (unsigned long long)start);
        uint64_t next = start;
        if (add_regions(regions, n, &next, ret, ret_guards) < 0)
            return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
        if (arg.walk_end > next)
            next = arg.walk_end;
        if (next <= start) /* can't be; but never loop for ever */
            return crs_fail(err, CRS_FAILED, EIO, "the scan of pages at %#llx made no progress",
                            (unsigned long long)start);
        start = next;
    }
    return 0;
}

static int scan_by_ioctl(int fd, bool guards, uint64_t start, uint64_t end, enum page_filter filter,
                         struct page_runs *ret, struct page_runs *ret_guards, struct crs_error *err)
{
    uint64_t excluded = SCAN_PFNZERO | (filter == PAGES_CHANGED_FILE ? SCAN_FILE : 0);
    uint64_t wanted = filter == PAGES_WRITTEN ? SCAN_WRITTEN : 0, guard = guards ? SCAN_GUARD : 0;
    const struct scan_arg what = {.category_inverted = excluded,
                                  .category_mask = excluded | wanted,
                                  .category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED | guard,
                                  .return_mask = guard ? guard : SCAN_PRESENT};

    return scan_all(fd, &what, start, end, ret, ret_guards, err);
}

/*
 * Those that are there, by the page table alone. A guard is a mark in it that looks like a page
 * that is swapped out: where the kernel doesn't tell them apart only what is not swapped is looked
 * at.
 */
static struct scan_arg written_pages(bool guards)
{
    uint64_t excluded = SCAN_PFNZERO | (guards ? SCAN_GUARD : 0);

    return (struct scan_arg){.category_inverted = excluded,
                             .category_mask = excluded | SCAN_ALLOWED | SCAN_WRITTEN,
                             .category_anyof_mask = SCAN_PRESENT | (guards ? SCAN_SWAPPED : 0),
                             .return_mask = SCAN_PRESENT};
}

int pagemap_protect(int fd, bool guards, uint64_t start, uint64_t end, struct page_runs *ret,
                    struct crs_error *err)
{
    struct scan_arg what = written_pages(guards);

    what.flags |= SCAN_PROTECT;
    for (uint64_t at = start, next; at < end; at = next) {
        next = (at + PROTECT_BYTES) & ~(HUGE_PAGE - 1); /* cuts none in two */
        if (next > end)
            next = end;
        int r = scan_all(fd, &what, at, next, ret, NULL, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int pagemap_written(int fd, bool guards, uint64_t start, uint64_t end, struct page_runs *ret,
                    struct crs_error *err)
{
    const struct scan_arg what = written_pages(guards);

    return scan_all(fd, &what, start, end, ret, NULL, err);
}

int pagemap_unprotected(int fd, uint64_t start, uint64_t end, struct page_runs *ret,
                        struct crs_error *err)
{
    /* With exactly these masks the kernel goes through the entries in the fastest way. */
    const struct scan_arg what = {
        .flags = SCAN_TRACKED, .category_mask = SCAN_WRITTEN, .return_mask = SCAN_WRITTEN};

    return scan_all(fd, &what, start, end, ret, NULL, err);
}

int pagemap_present(int fd, bool huge, uint64_t start, uint64_t end, struct page_runs *ret,
                    struct crs_error *err)
{
    const struct scan_arg what = {.category_mask = SCAN_PRESENT | (huge ? SCAN_HUGE : 0),
                                  .return_mask = SCAN_PRESENT};

    return scan_all(fd, &what, start, end, ret, NULL, err);
}

static int scan_by_reading(int fd, uint64_t start, uint64_t end, uint64_t limit,
                           enum page_filter filter, struct page_runs *ret, struct crs_error *err)
{
    _cleanup_free_ uint64_t *entries = malloc(N_ENTRIES * sizeof(*entries));
    uint64_t page = start >> PAGE_SHIFT, end_page = end >> PAGE_SHIFT, seen = 0;

    if (!entries)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
    while (page < end_page && seen < limit) {
        size_t want = end_page - page < N_ENTRIES ? end_page - page : N_ENTRIES;
        ssize_t n = pread(fd, entries, want * 8, page * 8);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 8)
            return crs_fail_errno(err, CRS_FAILED, "can't read the pagemap at %#llx",
                                  (unsigned long long)page << PAGE_SHIFT);
        for (size_t i = 0; i < (size_t)n / 8; i++)
            seen += !!(entries[i] & (ENTRY_PRESENT | ENTRY_SWAPPED));
        int r = pagemap_entries(entries, n / 8, page, filter, ret, err);
        if (r < 0)
            return r;
        page += n / 8;
    }
    return 0;
}

int pagemap_scan(int fd, bool can_scan, bool guards, uint64_t start, uint64_t end, uint64_t limit,
                 enum page_filter filter, struct page_runs *ret, struct page_runs *ret_guards,
                 struct crs_error *err)
{
    if (can_scan)
        return scan_by_ioctl(fd, guards, start, end, filter, ret, ret_guards, err);
    return scan_by_reading(fd, start, end, limit, filter, ret, err);
}
