/* memory_written.c - how many pages were written to since they were marked */
#include <fcntl.h>
#include <stdio.h>

#include "base/io.h"
#include "memory_live.h"
#include "proc/stat.h"

bool live_takes_part(const struct memory_image *image)
{
    return image->live && !image->live->given_up;
}

/*
 * The first write to a marked page is a page fault of the process, as is the first to one that
 * wasn't there. So it has written to as many pages at most as it has had faults; but for huge
 * pages.
 */
uint64_t live_read_faults(pid_t pid)
{
    _cleanup_bytes_ struct bytes text = {0};
    struct proc_stat stat;
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (read_file(AT_FDCWD, path, 8192, &text) < 0 ||
        proc_stat_parse((const char *)text.data, &stat) < 0)
        return 0;
    return stat.minor_faults + stat.major_faults;
}

static bool takes_huge_pages(const struct memory_image *image)
{
    for (size_t i = 0; i < image->smaps.n; i++)
        if (image->smaps.items[i].huge_resident_pages > 0)
            return true;
    return false;
}

static uint64_t count_faults(const struct memory_image *image)
{
    uint64_t now = image->live->faults ? live_read_faults(image->pid) : 0;

    return now < image->live->faults || !now || takes_huge_pages(image) ? UINT64_MAX
                                                                        : now - image->live->faults;
}

/* Have they written to no more than so many pages? Then nobody need look at each. */
static bool have_written_few(const struct memory_set *set, uint64_t few, uint64_t *ret_at_most)
{
    uint64_t n = 0;

    for (size_t i = 0; i < set->images.n && n <= few; i++)
        if (live_takes_part(set->images.items[i])) {
            uint64_t faults = count_faults(set->images.items[i]);
            n = faults > few ? UINT64_MAX : n + faults;
        }
    *ret_at_most = n;
    return n <= few;
}

uint64_t live_count_written(const struct memory_set *set, uint64_t few)
{
    uint64_t n = 0;

    if (have_written_few(set, few, &n))
        return n;
    n = 0;
    for (size_t i = 0; i < set->images.n; i++) {
        const struct memory_live *live = set->images.items[i]->live;
        _cleanup_page_runs_ struct page_runs runs = {0};
        if (!live_takes_part(set->images.items[i]))
            continue;
        for (size_t k = 0; k < live->ranges.n; k++)
            pagemap_written(live->pagemap_fd, live->guard_bit, live->ranges.items[k].start,
                            live->ranges.items[k].end, &runs, NULL);
        n += page_runs_count(&runs);
    }
    return n;
}
