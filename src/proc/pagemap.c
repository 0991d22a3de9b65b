/* pagemap.c - which pages of a process hold data: /proc/PID/pagemap */
#include <errno.h>
#include <linux/ioctl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "pagemap.h"

#define PAGE_SHIFT 12
#define N_ENTRIES  8192 /* that one read tells */

/* The kernel's interface (linux/fs.h of 6.7; the guard bit is of 6.15), not in older headers. */
struct scan_region {
    uint64_t start, end, categories;
};
struct scan_arg {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_IOCTL   _IOWR('f', 16, struct scan_arg)
#define SCAN_FILE    (1 << 2)
#define SCAN_PRESENT (1 << 3)
#define SCAN_SWAPPED (1 << 4)
#define SCAN_PFNZERO (1 << 5)
#define SCAN_GUARD   (1 << 8)

/* An entry of the file. */
#define ENTRY_PRESENT (1ULL << 63)
#define ENTRY_SWAPPED (1ULL << 62)
#define ENTRY_FILE    (1ULL << 61)

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
        struct page_runs *runs = regions[i].categories & SCAN_GUARD ? ret_guards : ret;
        if (page_runs_add(runs, start >> PAGE_SHIFT, (regions[i].end - start) >> PAGE_SHIFT) < 0)
            return -ENOMEM;
        *next = regions[i].end;
    }
    return 0;
}

static int scan_by_ioctl(int fd, bool guards, uint64_t start, uint64_t end, enum page_filter filter,
                         struct page_runs *ret, struct page_runs *ret_guards, struct crs_error *err)
{
    uint64_t excluded = SCAN_PFNZERO | (filter == PAGES_CHANGED_FILE ? SCAN_FILE : 0);
    uint64_t guard = guards ? SCAN_GUARD : 0;
    struct scan_region regions[512];

    while (start < end) {
        struct scan_arg arg = {.size = sizeof(arg),
                               .start = start,
                               .end = end,
                               .vec = (uintptr_t)regions,
                               .vec_len = ELEMENTS(regions),
                               .category_inverted = excluded,
                               .category_mask = excluded,
                               .category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED | guard,
                               .return_mask = guard ? guard : SCAN_PRESENT};
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
