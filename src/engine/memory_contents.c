/*
 * memory_contents.c - what is to be copied of shared memory that was found by its mappings
 *
 * An object that can be opened is read by its descriptor. Where that needs a privilege which we
 * don't have, it is read through the mappings of the processes that share it: all of them together,
 * since none needs to map all of it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "memory_image.h"

/* A mapping of an object. */
struct window {
    uint32_t object; /* MemoryObject.id */
    struct memory_image *image;
    const struct memory_vma *vma;
};

struct windows {
    ARRAY_OF(struct window) array;
};

static void windows_clear(struct windows *w)
{
    free(w->array.items);
}

/* One object being planned. */
struct contents {
    const struct memory_object *object;
    struct memory_image *image; /* whose plan the sink belongs to; NULL: none yet */
    uint32_t sink;
    uint64_t next_page; /* those before are planned */
};

/* A sink belongs to one plan; each process's memory is read by a plan of its own. */
static int use_image(struct contents *c, struct memory_image *image, struct crs_error *err)
{
    Crs__Content *content = c->object->record->content;

    if (c->image == image)
        return 0;
    c->image = image;
    return copy_plan_sink(&image->plan, &content->chunks, &content->n_chunks, &c->sink, err);
}

static int plan_from_fd(struct contents *c, struct crs_error *err)
{
    int fd = c->object->fd;
    off_t size = c->object->record->size;
    int r = use_image(c, c->object->image, err);

    for (off_t at = 0, end; r == 0 && at < size; at = end) {
        at = lseek(fd, at, SEEK_DATA);
        if (at < 0 && errno == ENXIO)
            return 0; /* only a hole is left */
        end = at < 0 ? -1 : lseek(fd, at, SEEK_HOLE);
        if (end < 0)
            return crs_fail_errno(err, CRS_FAILED, "can't find the data of %s",
                                  c->object->record->name);
        uint64_t first = PAGE_OF(at), count = PAGE_OF(end + PAGE - 1) - first;
        r = copy_plan_add(&c->image->plan, c->sink, fd, first, count, first * PAGE, 0, err);
    }
    return r;
}

/* Is anything swapped out? Then mincore(2) doesn't tell all. */
static bool swap_in_use(void)
{
    struct sysinfo info;

    return sysinfo(&info) < 0 || info.totalswap != info.freeswap;
}

/* Find the pages from `start` on that the object has: by asking the process itself, since pages
 * that it never touched aren't in its page table. */
static int plan_resident(struct contents *c, const struct memory_vma *vma, uint64_t start,
                         uint32_t how, struct crs_error *err)
{
    struct tracee_thread *th = tracee_main(c->image->t);
    uint8_t resident[TRACEE_SCRATCH_SIZE];
    int64_t result;

    for (uint64_t at = start, end = vma->map.end; at < end;) {
        size_t n = PAGE_OF(end - at) < sizeof(resident) ? PAGE_OF(end - at) : sizeof(resident);
        int r = tracee_call_with_block(th, &result, err, SYS_mincore,
                                       (const uint64_t[6]){at, n * PAGE}, 2, NULL, resident, n);
        if (r < 0)
            return r;
        if (result < 0) /* not known: all */
            memset(resident, 1, n);
        for (size_t i = 0; i < n; i++) {
            uint64_t source = at + i * PAGE;
            if (!(resident[i] & 1))
                continue;
            r = copy_plan_add(&c->image->plan, c->sink, -1,
                              PAGE_OF(source - vma->map.start + vma->map.offset), 1, source, how,
                              err);
            if (r < 0)
                return r;
        }
        at += n * PAGE;
    }
    return 0;
}

/* Pages of the object that this mapping shows and those before it didn't. Mappings come in the
 * order of their offsets. */
static int plan_window(struct contents *c, const struct window *w, struct crs_error *err)
{
    const struct proc_map *map = &w->vma->map;
    uint64_t first = PAGE_OF(map->offset), end = first + PAGE_OF(map->end - map->start);
    uint32_t how = COPY_MAY_FAIL | COPY_IN_FREEZE | (map->protection & PROT_READ ? 0 : COPY_FORCED);

    if (first < c->next_page)
        first = c->next_page;
    if (first >= end)
        return 0;
    c->next_page = end;
    uint64_t start = map->start + first * PAGE - map->offset;
    int r = use_image(c, w->image, err);
    if (r < 0)
        return r;
    /* Of huge pages mincore(2) doesn't tell those that another process has made: all are read. */
    if (!swap_in_use() && !w->vma->huge_page_bytes)
        return plan_resident(c, w->vma, start, how, err);
    return copy_plan_add(&c->image->plan, c->sink, -1, first, end - first, start, how, err);
}

static int compare_windows(const void *a, const void *b)
{
    const struct window *x = a, *y = b;

    if (x->object != y->object)
        return x->object < y->object ? -1 : 1;
    if (x->vma->map.offset != y->vma->map.offset)
        return x->vma->map.offset < y->vma->map.offset ? -1 : 1;
    if (x->image != y->image)
        return x->image->pid < y->image->pid ? -1 : 1;
    return x->vma->map.start < y->vma->map.start ? -1 : x->vma->map.start > y->vma->map.start;
}

static int find_windows(struct memory_image *image, struct windows *w, struct crs_error *err)
{
    /* The space has the records now, and only of what is saved, in the same order. */
    for (size_t i = 0, k = 0; image->space && k < image->space->n_vmas; i++) {
        const Crs__Vma *record = image->space->vmas[k];
        if (image->vmas.items[i].map.start != record->start)
            continue;
        k++;
        if (record->kind != CRS__VMA_KIND__VMA_OBJECT)
            continue;
        struct window *one = ARRAY_ADD(&w->array);
        if (!one)
            return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mappings");
        *one = (struct window){record->object, image, &image->vmas.items[i]};
    }
    return 0;
}

static int plan_from_windows(struct contents *c, const struct windows *w, size_t *next,
                             struct crs_error *err)
{
    uint32_t id = c->object->record->id;
    int r = 0;

    while (*next < w->array.n && w->array.items[*next].object < id)
        ++*next;
    for (; r == 0 && *next < w->array.n && w->array.items[*next].object == id; ++*next)
        r = plan_window(c, &w->array.items[*next], err);
    if (!c->object->record->sysv) /* whose size is known */
        c->object->record->size = c->next_page * PAGE;
    return r;
}

/* Objects are numbered in the order in which they were found: both lists are sorted alike. */
int memory_plan_objects(struct memory_set *set, struct crs_error *err)
{
    _cleanup_(windows_clear) struct windows windows = {0};
    size_t next = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && set->objects.n > 0 && i < set->images.n; i++)
        r = find_windows(set->images.items[i], &windows, err);
    if (windows.array.n > 1)
        qsort(windows.array.items, windows.array.n, sizeof(struct window), compare_windows);
    for (size_t i = 0; r == 0 && i < set->objects.n; i++) {
        struct contents contents = {.object = &set->objects.items[i]};
        r = contents.object->fd >= 0 ? plan_from_fd(&contents, err)
                                     : plan_from_windows(&contents, &windows, &next, err);
        contents.object->record->content->size =
            kobj_object_whole_pages(contents.object->record, contents.object->record->size);
    }
    return r;
}
