/*
 * memory_late.c - pages that are read in the freeze, and written when the processes run again
 *
 * Where few are left for the freeze, reading them takes a fraction of the time that it takes to
 * compress and write them.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/io.h"
#include "memory_image.h"

#define LATE_BYTES (16ull << 20)
#define MORE_PAGES 256 /* of stacks, libraries, ... */
#define KEPT_BYTES (4ull << 20)

struct late_chunk {
    struct memory_image *image;
    size_t chunk;               /* of its plan, which may get more by then */
    struct copy_buffer *buffer; /* owned; its data is part of the pool */
};

struct memory_late {
    uint8_t *pool;
    uint64_t used;
    bool taken; /* all images were read into it */
    ARRAY_OF(struct late_chunk) chunks;
};

/* ---- a place for the next ---- */

static atomic_bool keeps;
static uint8_t *_Atomic kept;

void memory_late_keep(void)
{
    atomic_store(&keeps, true);
}

static uint8_t *new_pool(void)
{
    uint8_t *pool = atomic_exchange(&kept, NULL);

    return pool
               ? pool
               : mmap(NULL, LATE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void free_pool(uint8_t *pool)
{
    if (atomic_load(&keeps)) {
        madvise(pool + KEPT_BYTES, LATE_BYTES - KEPT_BYTES, MADV_DONTNEED);
        pool = atomic_exchange(&kept, pool);
    }
    if (pool)
        munmap(pool, LATE_BYTES);
}

/* ---- pages ---- */

static struct memory_late *new_late(void)
{
    struct memory_late *late = calloc(1, sizeof(*late));

    if (!late)
        return NULL;
    late->pool = new_pool();
    if (late->pool != MAP_FAILED)
        return late;
    free(late);
    return NULL;
}

void memory_late_prepare(struct memory_set *set, uint64_t n_pages)
{
    uint64_t ready = LATE_BYTES;

    if (!set->late)
        set->late = new_late();
    if (!set->late) /* all is written in the freeze, then */
        return;
    if (n_pages < LATE_BYTES / PAGE / 2 - MORE_PAGES)
        ready = (2 * n_pages + MORE_PAGES) * PAGE;
    /* What isn't there by then is made in the freeze. */
    madvise(set->late->pool, ready, 23 /* MADV_POPULATE_WRITE */);
}

void memory_late_free(struct memory_late *late)
{
    if (!late)
        return;
    for (size_t i = 0; i < late->chunks.n; i++)
        free(late->chunks.items[i].buffer);
    free(late->chunks.items);
    free_pool(late->pool);
    free(late);
}

bool memory_late_taken(const struct memory_set *set)
{
    return set->late && set->late->taken;
}

bool memory_late_fits(uint64_t n_pages)
{
    return n_pages * PAGE <= LATE_BYTES;
}

uint64_t memory_late_bytes(const struct memory_late *late)
{
    return late ? late->used : 0;
}

static uint64_t count_pages(const struct memory_set *set)
{
    uint64_t pages = 0;

    for (size_t i = 0; i < set->images.n; i++)
        if (set->images.items[i]->space)
            pages += memory_freeze_pages(set->images.items[i]);
    return pages;
}

uint64_t memory_frozen_bytes(const struct memory_set *set)
{
    uint64_t pages = count_pages(set);

    return set->late && memory_late_fits(pages) ? 0 : pages * PAGE;
}

bool memory_late_begin(struct memory_set *set)
{
    if (!set->late || !memory_late_fits(count_pages(set)))
        return false;
    set->late->taken = true;
    return true;
}

static int read_one(struct memory_late *late, struct copy_source *source, size_t number,
                    struct crs_error *err)
{
    const struct copy_chunk *chunk = &source->plan->chunks.items[number];
    struct late_chunk *one = ARRAY_ADD(&late->chunks);
    struct copy_buffer *buffer = one ? calloc(1, sizeof(*buffer)) : NULL;

    if (!buffer)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
    *one = (struct late_chunk){source->image, number, buffer};
    buffer->data = late->pool + late->used;
    late->used += chunk->n_pages * PAGE;
    return copy_chunk_read(source, chunk, buffer, err);
}

int memory_late_read(struct memory_set *set, struct copy_source *source, struct crs_error *err)
{
    struct copy_plan *plan = source->plan;
    int r = 0;

    for (size_t i = 0; r == 0 && i < plan->chunks.n; i++)
        if (copy_takes(source->part, &plan->chunks.items[i]))
            r = read_one(set->late, source, i, err);
    return r;
}

int memory_late_write(struct memory_set *set, struct kobj_dump *ctx, struct crs_error *err)
{
    struct memory_late *late = set->late;
    int r = 0;

    if (!late || !late->taken)
        return 0;
    for (size_t i = 0; r == 0 && i < late->chunks.n; i++) {
        struct late_chunk *one = &late->chunks.items[i];
        struct copy_source source = {.image = one->image, .ctx = ctx, .plan = &one->image->plan};
        r = copy_chunk_put(&source, &source.plan->chunks.items[one->chunk], one->buffer, err);
    }
    for (size_t i = 0; r == 0 && i < set->images.n; i++)
        if (set->images.items[i]->space)
            r = copy_plan_hand_over(&set->images.items[i]->plan, err);
    return r;
}
