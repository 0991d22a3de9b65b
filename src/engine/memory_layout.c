/* memory_layout.c - a saved address space, looked at without trust */
#include <stdlib.h>

#include "memory_restore.h"
#include "store/chunk_runs.h"

#define N_VMAS_LIMIT (1u << 22)

Crs__AddressSpace *memory_find_space(const Crs__Memory *memory, uint32_t id)
{
    if (id >= 1 && id <= memory->n_spaces && memory->spaces[id - 1]->id == id)
        return memory->spaces[id - 1]; /* as they are written */
    for (size_t i = 0; i < memory->n_spaces; i++)
        if (memory->spaces[i]->id == id)
            return memory->spaces[i];
    return NULL;
}

bool memory_vma_is_private(const Crs__Vma *vma)
{
    return vma->kind == CRS__VMA_KIND__VMA_ANONYMOUS ||
           vma->kind == CRS__VMA_KIND__VMA_FILE_PRIVATE ||
           (vma->kind == CRS__VMA_KIND__VMA_OBJECT &&
            vma_has(vma, CRS__VMA_FLAG__VMA_FLAG_PRIVATE));
}

static int damaged(const Crs__Vma *vma, const char *words, struct crs_error *err)
{
    return crs_fail(err, CRS_DAMAGED, EBADMSG, "the mapping %#llx-%#llx of the snapshot %s",
                    (unsigned long long)vma->start, (unsigned long long)vma->end, words);
}

static int check_vma(const Crs__Memory *memory, const Crs__Vma *vma, struct crs_error *err)
{
    if (vma->start >= vma->end || vma->start < PAGE || vma->end > MEMORY_TOP ||
        (vma->start | vma->end | vma->offset) % PAGE || vma->offset > INT64_MAX ||
        vma->protection & ~7u)
        return damaged(vma, "lies where none can be", err);
    if (vma->huge_page_bytes && (vma->start | vma->end | vma->offset) % vma->huge_page_bytes)
        return damaged(vma, "isn't of whole huge pages", err);
    if (!memory_is_huge_size(vma->huge_page_bytes))
        return damaged(vma, "has pages of an impossible size", err);
    switch (vma->kind) {
    case CRS__VMA_KIND__VMA_ANONYMOUS:
    case CRS__VMA_KIND__VMA_VDSO:
    case CRS__VMA_KIND__VMA_VVAR:
    case CRS__VMA_KIND__VMA_RING:
        return 0;
    case CRS__VMA_KIND__VMA_FILE_PRIVATE:
    case CRS__VMA_KIND__VMA_FILE_SHARED:
        if (vma->file < 1 || vma->file > memory->n_files ||
            memory->files[vma->file - 1]->id != vma->file)
            return damaged(vma, "is of a file that isn't in the snapshot", err);
        return 0;
    case CRS__VMA_KIND__VMA_OBJECT:
        if (vma->object < 1 || vma->object > memory->n_objects)
            return damaged(vma, "is of an object that isn't in the snapshot", err);
        return 0;
    default:
        return damaged(vma, "is of an unknown kind", err);
    }
}

static int check_chunk(const Crs__Chunk *chunk, struct crs_error *err)
{
    uint64_t pages = 0;

    if (chunk_runs_check(chunk, &pages) < 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "a chunk of memory has an impossible run");
    if (pages < 1 || pages > STORE_CHUNK_PAGES || chunk->raw_bytes != pages * PAGE ||
        (chunk->codec == CRS__CODEC__CODEC_NONE && chunk->stored_bytes != chunk->raw_bytes))
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "a chunk of memory has an impossible size");
    return 0;
}

int memory_check_layout(const Crs__Memory *memory, const Crs__AddressSpace *space,
                        struct crs_error *err)
{
    uint64_t end = 0;
    int r = 0;

    if (space->n_vmas < 1 || space->n_vmas > N_VMAS_LIMIT)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "the snapshot has an address space of %zu mappings", space->n_vmas);
    if (space->exe < 1 || space->exe > memory->n_files ||
        memory->files[space->exe - 1]->id != space->exe)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "the snapshot's executable isn't in its list of files");
    for (size_t i = 0; r == 0 && i < space->n_vmas; i++) {
        r = check_vma(memory, space->vmas[i], err);
        if (r == 0 && space->vmas[i]->start < end)
            r = damaged(space->vmas[i], "lies over another one", err);
        end = space->vmas[i]->end;
    }
    for (size_t i = 0; r == 0 && i < space->n_chunks; i++)
        r = check_chunk(space->chunks[i], err);
    return r;
}

/* ---- pages ---- */

static size_t find_vma(const Crs__AddressSpace *space, uint64_t address)
{
    size_t low = 0, high = space->n_vmas;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (space->vmas[middle]->end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int misplaced(uint64_t page, struct crs_error *err)
{
    return crs_fail(err, CRS_DAMAGED, EBADMSG,
                    "the snapshot has a page number %#llx, where no memory of its own is mapped",
                    (unsigned long long)page);
}

/* A run may go on from one mapping to the next that joins it. */
static int mark_run(const Crs__AddressSpace *space, uint64_t first, uint64_t count, bool *marks,
                    struct crs_error *err)
{
    uint64_t at = first * PAGE, end = at + count * PAGE;

    if (first >= PAGE_OF(MEMORY_TOP) || count > PAGE_OF(MEMORY_TOP))
        return misplaced(first, err);
    for (size_t i = find_vma(space, at); at < end; i++) {
        if (i >= space->n_vmas || space->vmas[i]->start > at ||
            !memory_vma_is_private(space->vmas[i]))
            return misplaced(PAGE_OF(at), err);
        if (marks)
            marks[i] = true;
        at = space->vmas[i]->end;
    }
    return 0;
}

static int mark_chunk(const Crs__AddressSpace *space, const Crs__Chunk *chunk, bool *marks,
                      struct crs_error *err)
{
    struct chunk_runs_at at = chunk_runs_begin(chunk);
    struct chunk_run run;
    int r = 0;

    while (r == 0 && chunk_runs_next(&at, &run))
        if (!run.dropped)
            r = mark_run(space, run.first, run.count, marks, err);
    return r;
}

int memory_mark_pages(const Crs__AddressSpace *space, bool *has_pages, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < space->n_chunks; i++)
        r = mark_chunk(space, space->chunks[i], has_pages, err);
    for (size_t i = 0; r == 0 && i < space->n_guards; i++)
        r = mark_run(space, space->guards[i]->first, space->guards[i]->count, NULL, err);
    return r;
}

/* ---- room ---- */

static int compare_ranges(const void *a, const void *b)
{
    const struct address_range *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

uint64_t memory_find_gap(struct address_range *ranges, size_t n, uint64_t size)
{
    uint64_t best = 0, best_size = 0, end = MEMORY_LOW;

    if (n > 0)
        qsort(ranges, n, sizeof(*ranges), compare_ranges);
    for (size_t i = 0; i <= n; i++) {
        uint64_t start = i < n ? ranges[i].start : MEMORY_TOP;
        if (start > MEMORY_TOP)
            start = MEMORY_TOP;
        if (start > end && start - end > best_size) {
            best = end;
            best_size = start - end;
        }
        if (i < n && ranges[i].end > end)
            end = ranges[i].end;
    }
    if (best_size < size)
        return 0;
    return (best + (best_size - size) / 2) & ~(PAGE - 1);
}
