/*
 * memory_borrowed.c - mappings of the checkpoint before, until their flags have been read again
 *
 * Where all mappings are as the session knows them, nothing can have changed of them but what maps
 * doesn't tell: flags that madvise(2), mlock(2) and the like set, which matter to the record alone.
 * So the freeze goes by those of then, and the thread that reads them anew has time until the
 * record is complete.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "memory_live.h"

static bool are_as_known(pid_t pid, const struct proc_smaps *known)
{
    _cleanup_proc_maps_ struct proc_maps maps = {0};
    _cleanup_bytes_ struct bytes text = {0};
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    if (read_file(AT_FDCWD, path, MEMORY_TEXT_LIMIT, &text) < 0 ||
        proc_maps_parse((const char *)text.data, text.size, &maps, NULL) < 0 || maps.n != known->n)
        return false;
    for (size_t i = 0; i < maps.n; i++)
        if (!proc_map_equal(&maps.items[i], &known->items[i].map))
            return false;
    return true;
}

/* One that was made anew in the same place isn't. */
static bool are_tracked(const struct memory_live *live)
{
    for (size_t i = 0; i < live->ranges.n; i++) {
        _cleanup_page_runs_ struct page_runs runs = {0};
        uint64_t start = live->ranges.items[i].start;
        if (pagemap_unprotected(live->pagemap_fd, start, start + PAGE, &runs, NULL) < 0)
            return false;
    }
    return true;
}

/* Whether memory will be locked when it is mapped is found out where any is: that is to be exact.
 */
static bool is_locked(const struct memory_image *image)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[40];

    for (size_t i = 0; i < image->live->smaps.n; i++)
        if (image->live->smaps.items[i].flags & PROC_VM_LOCKED)
            return true;
    snprintf(path, sizeof(path), "/proc/%d/status", image->pid);
    if (read_file(AT_FDCWD, path, 65536, &text) < 0)
        return true;
    const char *line = strstr((const char *)text.data, "\nVmLck:");
    return !line || strtoull(line + 7, NULL, 10) > 0;
}

bool memory_borrow_mappings(struct memory_image *image)
{
    struct memory_live *live = image->live;

    if (!image->beside || !live || !live->early || live->given_up || live->smaps.n == 0 ||
        !are_as_known(image->pid, &live->smaps) || !are_tracked(live) || is_locked(image))
        return false;
    image->smaps = live->smaps;
    live->smaps = (struct proc_smaps){0};
    image->borrowed = memory_policy_is_asked(image); /* else the text that tells it is to be read */
    return image->borrowed;
}

/* The records of the mappings stand in their order. Those that have changed since the freeze keep
 * the flags that they have. */
static void set_flags(const struct memory_image *image)
{
    Crs__AddressSpace *space = image->space;

    for (size_t i = 0, k = 0; i < image->maps.n && k < space->n_vmas; i++) {
        const struct proc_map *map = &image->maps.items[i];
        if (space->vmas[k]->start != map->start)
            continue;
        const struct proc_smap *smap = proc_smaps_find(&image->smaps, map->start);
        if (smap && proc_map_equal(&smap->map, map))
            memory_vma_set_flags(space->vmas[k], smap);
        k++;
    }
}

int memory_return_mappings(struct memory_image *image, struct crs_error *err)
{
    int r = image->borrowed ? memory_prepare_image_end(image, err) : 0;

    if (r == -ENOMEM)
        return r;
    if (r == 0 && image->borrowed) /* else it has ended */
        set_flags(image);
    image->borrowed = false;
    return 0;
}
