/*
 * memory_huge.c - are there huge pages (hugetlb) enough for a restart?
 *
 * The kernel keeps a pool of each size, and reserves what is mapped. Without this check a mapping
 * would fail in the middle, or, where nothing was reserved, the program at its first access.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "memory_restore.h"
#include "store/chunk_runs.h"

#define SIZES_DIRECTORY "/sys/kernel/mm/hugepages"
#define PAGES_LIMIT     (1ull << 28) /* of one object */

bool memory_is_huge_size(uint64_t bytes)
{
    return bytes == 0 || ((bytes & (bytes - 1)) == 0 && bytes > PAGE && bytes <= 1ull << 34);
}

/* ---- what is there ---- */

static uint64_t read_count(uint64_t page_bytes, const char *name)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[160];

    snprintf(path, sizeof(path), SIZES_DIRECTORY "/hugepages-%llukB/%s",
             (unsigned long long)page_bytes >> 10, name);
    return read_file(-1, path, 64, &text) < 0 ? 0 : strtoull((const char *)text.data, NULL, 10);
}

/* Not promised to anybody, or to be had from the kernel's other memory. */
static uint64_t count_free(uint64_t page_bytes)
{
    uint64_t free = read_count(page_bytes, "free_hugepages");
    uint64_t reserved = read_count(page_bytes, "resv_hugepages");
    uint64_t more = read_count(page_bytes, "nr_overcommit_hugepages");
    uint64_t surplus = read_count(page_bytes, "surplus_hugepages");

    return (free > reserved ? free - reserved : 0) + (more > surplus ? more - surplus : 0);
}

/* ---- what is needed ---- */

/* Huge pages of [start, end) that have data: chunks and their runs are in order. */
static uint64_t count_filled(Crs__Chunk *const *chunks, size_t n, uint64_t page_bytes,
                             uint64_t start, uint64_t end)
{
    uint64_t count = 0, next = start / page_bytes;
    struct chunk_run run;

    for (size_t i = 0; i < n; i++)
        chunk_runs_each (run, chunks[i]) {
            if (run.dropped)
                continue;
            uint64_t from = run.first * PAGE, to = from + run.count * PAGE;
            uint64_t first = (from > start ? from : start) / page_bytes;
            uint64_t last = ((to < end ? to : end) + page_bytes - 1) / page_bytes;
            if (first < next)
                first = next;
            if (to <= start || from >= end || last <= first)
                continue;
            count += last - first;
            next = last;
        }
    return count;
}

static uint64_t needed_by_space(const Crs__AddressSpace *space, uint64_t page_bytes)
{
    uint64_t count = 0;

    for (size_t i = 0; i < space->n_vmas; i++) {
        const Crs__Vma *vma = space->vmas[i];
        if (vma->huge_page_bytes != page_bytes || !memory_vma_is_private(vma))
            continue;
        if (vma_has(vma, CRS__VMA_FLAG__VMA_FLAG_NORESERVE))
            count += count_filled(space->chunks, space->n_chunks, page_bytes, vma->start, vma->end);
        else
            count += (vma->end - vma->start) / page_bytes;
    }
    return count;
}

/* Pages of an object that it has, or that are promised to it since they are mapped. */
struct marks {
    uint8_t *pages;
    uint64_t n, page_bytes;
};

static void mark(struct marks *marks, uint64_t start, uint64_t end)
{
    uint64_t last = (end + marks->page_bytes - 1) / marks->page_bytes;

    for (uint64_t i = start / marks->page_bytes; i < last && i < marks->n; i++)
        marks->pages[i] = 1;
}

static void mark_mapped(struct marks *marks, const Crs__AddressSpace *space, uint32_t object)
{
    for (size_t i = 0; i < space->n_vmas; i++) {
        const Crs__Vma *vma = space->vmas[i];
        if (vma->kind == CRS__VMA_KIND__VMA_OBJECT && vma->object == object &&
            !memory_vma_is_private(vma) && !vma_has(vma, CRS__VMA_FLAG__VMA_FLAG_NORESERVE))
            mark(marks, vma->offset, vma->offset + (vma->end - vma->start));
    }
}

static void mark_filled(struct marks *marks, const Crs__Content *content)
{
    struct chunk_run run;

    for (size_t i = 0; content && i < content->n_chunks; i++)
        chunk_runs_each (run, content->chunks[i])
            if (!run.dropped && run.first < PAGE_OF(INT64_MAX) && run.count <= STORE_CHUNK_PAGES)
                mark(marks, run.first * PAGE, (run.first + run.count) * PAGE);
}

static int needed_by_object(const Crs__Memory *memory, const Crs__MemoryObject *object,
                            uint64_t *needed, struct crs_error *err)
{
    uint64_t page_bytes = object->huge_page_bytes;
    struct marks marks = {.n = kobj_object_whole_pages(object, object->size) / page_bytes,
                          .page_bytes = page_bytes};

    if (object->name[0] == '/' && access(object->name, F_OK) == 0)
        return 0; /* has its pages already */
    _cleanup_free_ uint8_t *pages = marks.n < PAGES_LIMIT ? calloc(marks.n + 1, 1) : NULL;
    if (!pages)
        return crs_fail(err, CRS_CANT_RESTART, ENOMEM, "shared memory of %llu huge pages",
                        (unsigned long long)marks.n);
    marks.pages = pages;
    mark_filled(&marks, object->content);
    for (size_t i = 0; i < memory->n_spaces; i++)
        mark_mapped(&marks, memory->spaces[i], object->id);
    for (uint64_t i = 0; i < marks.n; i++)
        *needed += pages[i];
    return 0;
}

static int check_size(const Crs__Memory *memory, uint64_t page_bytes, struct crs_error *err)
{
    uint64_t needed = 0, there = count_free(page_bytes);
    int r = 0;

    for (size_t i = 0; i < memory->n_spaces; i++)
        needed += needed_by_space(memory->spaces[i], page_bytes);
    for (size_t i = 0; r == 0 && i < memory->n_objects; i++)
        if (memory->objects[i]->huge_page_bytes == page_bytes)
            r = needed_by_object(memory, memory->objects[i], &needed, err);
    if (r < 0 || needed <= there)
        return r;
    return crs_fail(err, CRS_CANT_RESTART, ENOMEM,
                    "the program needs %llu huge pages of %llu KiB, and %llu are free here: let "
                    "there be more (" SIZES_DIRECTORY "/hugepages-%llukB/nr_hugepages)",
                    (unsigned long long)needed, (unsigned long long)page_bytes >> 10,
                    (unsigned long long)there, (unsigned long long)page_bytes >> 10);
}

/* ---- the sizes ---- */

struct sizes {
    uint64_t items[34];
    size_t n;
};

static void add_size(struct sizes *sizes, uint64_t page_bytes)
{
    for (size_t i = 0; i < sizes->n; i++)
        if (sizes->items[i] == page_bytes)
            return;
    if (page_bytes && sizes->n < ELEMENTS(sizes->items))
        sizes->items[sizes->n++] = page_bytes;
}

int memory_check_huge(struct kobj_restore *ctx, struct crs_error *err)
{
    const Crs__Memory *memory = ctx->memory;
    struct sizes sizes = {.n = 0};
    int r = 0;

    for (size_t i = 0; i < memory->n_objects; i++) {
        if (!memory_is_huge_size(memory->objects[i]->huge_page_bytes))
            return crs_fail(err, CRS_DAMAGED, EBADMSG,
                            "the snapshot has shared memory with pages of an impossible size");
        add_size(&sizes, memory->objects[i]->huge_page_bytes);
    }
    for (size_t i = 0; i < memory->n_spaces; i++)
        for (size_t k = 0; k < memory->spaces[i]->n_vmas; k++)
            add_size(&sizes, memory->spaces[i]->vmas[k]->huge_page_bytes);
    for (size_t i = 0; r == 0 && i < sizes.n; i++)
        r = check_size(memory, sizes.items[i], err);
    return r;
}
