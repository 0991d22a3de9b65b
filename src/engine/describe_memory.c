/* describe_memory.c - the memory of a snapshot by kind, as JSON */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "engine/describe.h"
#include "store/chunk_runs.h"
#include "store/store.h"

/* The rows, in the order of show. */
enum row {
    ROW_HEAP,
    ROW_STACK,
    ROW_ANONYMOUS,
    ROW_FILE_PRIVATE,
    ROW_FILE_SHARED,
    ROW_OBJECT,
    ROW_KERNEL,
    ROW_RING,
    ROWS
};

static const char *const row_names[ROWS] = {
    [ROW_HEAP] = "heap",
    [ROW_STACK] = "stack",
    [ROW_ANONYMOUS] = "private anonymous",
    [ROW_FILE_PRIVATE] = "private of a file",
    [ROW_FILE_SHARED] = "shared of a file",
    [ROW_OBJECT] = "shared memory",
    [ROW_KERNEL] = "vdso and vvar",
    [ROW_RING] = "rings shared with the kernel",
};

struct count {
    uint64_t n, size_bytes, saved_bytes;
};

static enum row row_of(const Crs__Vma *vma)
{
    if (vma->flags & CRS__VMA_FLAG__VMA_FLAG_HEAP)
        return ROW_HEAP;
    if (vma->flags & CRS__VMA_FLAG__VMA_FLAG_STACK)
        return ROW_STACK;
    switch (vma->kind) {
    case CRS__VMA_KIND__VMA_FILE_PRIVATE:
        return ROW_FILE_PRIVATE;
    case CRS__VMA_KIND__VMA_FILE_SHARED:
        return ROW_FILE_SHARED;
    case CRS__VMA_KIND__VMA_OBJECT:
        return ROW_OBJECT;
    case CRS__VMA_KIND__VMA_VDSO:
    case CRS__VMA_KIND__VMA_VVAR:
        return ROW_KERNEL;
    case CRS__VMA_KIND__VMA_RING:
        return ROW_RING;
    default:
        return ROW_ANONYMOUS;
    }
}

static int compare_vmas(const void *a, const void *b)
{
    const Crs__Vma *x = *(Crs__Vma *const *)a, *y = *(Crs__Vma *const *)b;

    return x->start < y->start ? -1 : x->start > y->start;
}

/* The mapping that the address is in; they are sorted. */
static const Crs__Vma *find_vma(const Crs__AddressSpace *space, uint64_t address)
{
    size_t low = 0, high = space->n_vmas;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (space->vmas[middle]->end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < space->n_vmas && space->vmas[low]->start <= address ? space->vmas[low] : NULL;
}

/* A run may go over several mappings that lie side by side. */
static void count_run(const Crs__AddressSpace *space, const struct chunk_run *run,
                      struct count *counts)
{
    uint64_t at = run->first * STORE_PAGE_SIZE, end = at + run->count * STORE_PAGE_SIZE;

    while (at < end) {
        const Crs__Vma *vma = find_vma(space, at);
        uint64_t until = vma && vma->end < end ? vma->end : end;
        if (!vma || until <= at)
            return;
        counts[row_of(vma)].saved_bytes += until - at;
        at = until;
    }
}

static void count_space(Crs__AddressSpace *space, struct count *counts)
{
    struct chunk_run run;

    if (space->n_vmas > 1)
        qsort(space->vmas, space->n_vmas, sizeof(*space->vmas), compare_vmas);
    for (size_t i = 0; i < space->n_vmas; i++) {
        const Crs__Vma *vma = space->vmas[i];
        counts[row_of(vma)].n++;
        counts[row_of(vma)].size_bytes += vma->end > vma->start ? vma->end - vma->start : 0;
    }
    for (size_t i = 0; i < space->n_chunks; i++)
        chunk_runs_each (run, space->chunks[i])
            if (!run.dropped)
                count_run(space, &run, counts);
}

static uint64_t content_bytes(const Crs__Content *content)
{
    uint64_t n = content ? content->inline_data.len : 0;

    for (size_t i = 0; content && i < content->n_chunks; i++)
        n += content->chunks[i]->raw_bytes;
    return n;
}

json_t *describe_memory(const Crs__Memory *memory)
{
    struct count counts[ROWS] = {0};
    json_t *list = json_array();

    for (size_t i = 0; i < memory->n_spaces; i++)
        count_space(memory->spaces[i], counts);
    for (size_t i = 0; i < memory->n_objects; i++)
        counts[ROW_OBJECT].saved_bytes += content_bytes(memory->objects[i]->content);
    for (int i = 0; i < ROWS; i++) {
        if (counts[i].n == 0 && counts[i].saved_bytes == 0)
            continue;
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I}", "kind", row_names[i],
                                              "mappings", (json_int_t)counts[i].n, "size_bytes",
                                              (json_int_t)counts[i].size_bytes, "saved_bytes",
                                              (json_int_t)counts[i].saved_bytes));
    }
    return list;
}

/* What of the file must be the same: a newer time alone is forgiven when the bytes are. */
static const char *checked_by(const Crs__MappedFile *file)
{
    if (file->deleted)
        return "nothing: saved in the snapshot";
    if (file->writable_shared)
        return "size";
    if (file->build_id.len > 0)
        return "size, and time or build ID";
    return file->checksum.len > 0 ? "size, and time or checksum" : "size and time";
}

json_t *describe_mapped_files(const Crs__Memory *memory)
{
    json_t *list = json_array();

    for (size_t i = 0; i < memory->n_files; i++) {
        const Crs__MappedFile *f = memory->files[i];
        json_array_append_new(list, json_pack("{s:o, s:I, s:s}", "path", describe_text(f->path),
                                              "size_bytes", (json_int_t)f->size, "checked_by",
                                              checked_by(f)));
    }
    return list;
}
