/* memory_set.c - the address spaces of one snapshot, and the record that they make together */
#include <stdlib.h>

#include "base/io.h"
#include "memory_image.h"

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the record of memory");
}

int memory_set_new(struct memory_set **ret, struct crs_error *err)
{
    struct memory_set *set = calloc(1, sizeof(*set));

    if (!set)
        return out_of_memory(err);
    *ret = set;
    return 0;
}

int memory_image_get(struct memory_set *set, pid_t pid, struct memory_image **ret,
                     struct crs_error *err)
{
    size_t n = set->images.n;

    /* All are gone through in the same order: the next one is that after the last one, mostly. */
    for (size_t i = 0; i < n; i++) {
        size_t place = (set->last + i) % n;
        if (set->images.items[place]->pid == pid) {
            set->last = place + 1;
            *ret = set->images.items[place];
            return 0;
        }
    }
    struct memory_image *image = calloc(1, sizeof(*image));
    struct memory_image **place = image ? ARRAY_ADD(&set->images) : NULL;
    if (!place) {
        free(image);
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for an address space");
    }
    *image = (struct memory_image){.set = set, .pid = pid, .pagemap_fd = -1, .huge_fd = -1};
    *ret = *place = image;
    return 0;
}

const struct proc_maps *memory_maps(const struct memory_set *set, pid_t pid)
{
    size_t n = set->images.n;

    for (size_t i = 0; i < n; i++) { /* it is the one that was looked for last, mostly */
        const struct memory_image *image = set->images.items[(set->last + n - 1 + i) % n];
        if (image->pid == pid && image->space)
            return &image->maps;
    }
    return NULL;
}

static void beside_free(struct memory_beside *beside)
{
    _cleanup_bytes_ struct bytes unread = {0};

    if (beside)
        memory_beside_end(beside, &unread);
    free(beside);
}

static void image_free(struct memory_image *image)
{
    beside_free(image->beside);
    for (size_t i = 0; i < image->vmas.n; i++)
        if (image->vmas.items[i].record)
            crs__vma__free_unpacked(image->vmas.items[i].record, NULL);
    if (image->space)
        crs__address_space__free_unpacked(image->space, NULL);
    cleanup_close(&image->pagemap_fd);
    cleanup_close(&image->huge_fd);
    page_runs_clear(&image->huge);
    memory_live_free(image->live);
    free(image->fork); /* ended by memory_fork_end() */
    copy_plan_clear(&image->plan);
    page_runs_clear(&image->guards);
    proc_smaps_clear(&image->smaps);
    proc_maps_clear(&image->maps);
    free(image->deferred.vmas.items);
    free(image->with_policy.items);
    free(image->vmas.items);
    free(image->descriptors.items);
    free(image);
}

void memory_set_free(struct memory_set *set)
{
    if (!set)
        return;
    memory_aside_end(set);
    for (size_t i = 0; i < set->n_known; i++)
        beside_free(set->known[i].beside);
    for (size_t i = 0; i < set->images.n; i++)
        image_free(set->images.items[i]);
    for (size_t i = 0; i < set->files.n; i++) {
        if (set->files.items[i].record)
            crs__mapped_file__free_unpacked(set->files.items[i].record, NULL);
        cleanup_close(&set->files.items[i].fd);
        free(set->files.items[i].runs.items);
    }
    for (size_t i = 0; i < set->objects.n; i++)
        cleanup_close(&set->objects.items[i].fd);
    memory_late_free(set->late);
    memory_same_free(set->same);
    free(set->images.items);
    free(set->files.items);
    free(set->objects.items);
    free(set);
}

void memory_be_nice(struct memory_set *set)
{
    set->nice = true;
}

uint64_t memory_buffer_bytes(const struct memory_set *set)
{
    return set->buffer_bytes + memory_late_bytes(set->late);
}

uint64_t memory_resident_bytes(const struct memory_set *set)
{
    uint64_t pages = 0;

    for (size_t i = 0; i < set->images.n; i++) {
        const struct proc_smaps *smaps = &set->images.items[i]->smaps;
        for (size_t k = 0; k < smaps->n; k++)
            if (smaps->items[k].map.inode == 0)
                pages += smaps->items[k].resident_pages;
    }
    return pages * PAGE;
}

/* ---- after the thaw ---- */

static int set_guards(struct memory_image *image, struct crs_error *err)
{
    Crs__AddressSpace *space = image->space;
    struct page_runs_at at = page_runs_begin(&image->guards);
    struct page_run guard;

    if (image->guards.n == 0)
        return 0;
    space->guards = calloc(image->guards.n, sizeof(*space->guards));
    while (space->guards && page_runs_next(&at, &guard)) {
        Crs__Run *run = malloc(sizeof(*run));
        if (!run)
            break;
        crs__run__init(run);
        run->first = guard.first;
        run->count = guard.count;
        space->guards[space->n_guards++] = run;
    }
    if (space->n_guards < image->guards.n)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of guard pages");
    return 0;
}

static int hand_over(struct memory_set *set, struct kobj_dump *ctx, Crs__Memory *memory)
{
    memory->spaces = calloc(set->images.n + 1, sizeof(*memory->spaces));
    memory->files = calloc(set->files.n + 1, sizeof(*memory->files));
    memory->objects = calloc(ctx->objects.n + 1, sizeof(*memory->objects));
    if (!memory->spaces || !memory->files || !memory->objects)
        return -ENOMEM;
    for (size_t i = 0; i < set->images.n; i++)
        if (set->images.items[i]->space)
            memory->spaces[memory->n_spaces++] = TAKE_PTR(set->images.items[i]->space);
    for (size_t i = 0; i < set->files.n; i++)
        memory->files[memory->n_files++] = TAKE_PTR(set->files.items[i].record);
    for (size_t i = 0; i < ctx->objects.n; i++)
        if (ctx->objects.items[i].record)
            memory->objects[memory->n_objects++] = TAKE_PTR(ctx->objects.items[i].record);
    return 0;
}

int memory_finish(struct memory_set *set, struct kobj_dump *ctx, Crs__Memory **ret,
                  struct crs_error *err)
{
    int r = memory_late_write(set, ctx, err);

    for (size_t i = 0; r == 0 && i < set->images.n; i++)
        if (set->images.items[i]->space)
            r = set_guards(set->images.items[i], err);
    for (size_t i = 0; r == 0 && i < set->images.n; i++)
        if (set->images.items[i]->space && set->images.items[i]->live)
            r = memory_live_finish(set->images.items[i], err);
    if (r == 0)
        r = memory_files_finish(set, ctx, err);
    for (size_t i = 0; r == 0 && i < set->images.n; i++)
        if (set->images.items[i]->space)
            r = memory_return_mappings(set->images.items[i], err);
    if (r < 0)
        return r;
    Crs__Memory *memory = malloc(sizeof(*memory));
    if (!memory)
        return out_of_memory(err);
    crs__memory__init(memory);
    if (hand_over(set, ctx, memory) < 0) {
        crs__memory__free_unpacked(memory, NULL);
        return out_of_memory(err);
    }
    *ret = memory;
    return 0;
}
