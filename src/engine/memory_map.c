/* memory_map.c - the mappings of a restarted process */
#include <linux/mman.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "memory_restore.h"

/* Not in older headers. */
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static const struct {
    uint32_t flag;
    int advice;
    const char *what;
} advices[] = {
    {CRS__VMA_FLAG__VMA_FLAG_HUGEPAGE, MADV_HUGEPAGE, "?advise MADV_HUGEPAGE"},
    {CRS__VMA_FLAG__VMA_FLAG_NOHUGEPAGE, MADV_NOHUGEPAGE, "?advise MADV_NOHUGEPAGE"},
    {CRS__VMA_FLAG__VMA_FLAG_MERGEABLE, MADV_MERGEABLE, "?advise MADV_MERGEABLE"},
    {CRS__VMA_FLAG__VMA_FLAG_SEQUENTIAL, MADV_SEQUENTIAL, "?advise MADV_SEQUENTIAL"},
    {CRS__VMA_FLAG__VMA_FLAG_RANDOM, MADV_RANDOM, "?advise MADV_RANDOM"},
    {CRS__VMA_FLAG__VMA_FLAG_DONTDUMP, MADV_DONTDUMP, "?advise MADV_DONTDUMP"},
    {CRS__VMA_FLAG__VMA_FLAG_DONTFORK, MADV_DONTFORK, "advise MADV_DONTFORK"},
    {CRS__VMA_FLAG__VMA_FLAG_WIPEONFORK, MADV_WIPEONFORK, "advise MADV_WIPEONFORK"},
};

/* What is needed while pages are filled in. */
static uint32_t first_protection(const Crs__Vma *vma, bool has_pages)
{
    return has_pages ? PROT_READ | PROT_WRITE : vma->protection;
}

static int mapped_fd(const struct memory_files *f, const Crs__Vma *vma)
{
    switch (vma->kind) {
    case CRS__VMA_KIND__VMA_FILE_PRIVATE:
    case CRS__VMA_KIND__VMA_FILE_SHARED:
        return f->mapped[vma->file - 1];
    case CRS__VMA_KIND__VMA_OBJECT:
        return vma_has(vma, CRS__VMA_FLAG__VMA_FLAG_MAY_WRITE)
                   ? f->objects[vma->object - 1]
                   : f->readonly_objects[vma->object - 1];
    default:
        return -1;
    }
}

static uint32_t map_type(const Crs__Vma *vma)
{
    if (memory_vma_is_private(vma))
        return vma_has(vma, CRS__VMA_FLAG__VMA_FLAG_DROPPABLE) ? MAP_DROPPABLE : MAP_PRIVATE;
    return vma_has(vma, CRS__VMA_FLAG__VMA_FLAG_SYNC) ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
}

/* Descriptors know the size of their pages by themselves. */
static uint32_t huge_flags(const Crs__Vma *vma, int fd)
{
    return fd < 0 && vma->huge_page_bytes
               ? MAP_HUGETLB | (uint32_t)__builtin_ctzll(vma->huge_page_bytes) << MAP_HUGE_SHIFT
               : 0;
}

static void add_mmap(struct memory_calls *calls, const Crs__Vma *vma, bool has_pages)
{
    int fd = mapped_fd(calls->ctx->memory_files, vma);
    uint32_t flags = map_type(vma) | MAP_FIXED_NOREPLACE | (fd < 0 ? MAP_ANONYMOUS : 0) |
                     (vma_has(vma, CRS__VMA_FLAG__VMA_FLAG_NORESERVE) ? MAP_NORESERVE : 0) |
                     (vma_has(vma, CRS__VMA_FLAG__VMA_FLAG_GROWSDOWN) ? MAP_GROWSDOWN : 0) |
                     huge_flags(vma, fd);

    memory_calls_add(calls, "map memory", SYS_mmap, vma->start, vma->end - vma->start,
                     first_protection(vma, has_pages), flags, fd, fd < 0 ? 0 : vma->offset);
}

static int add_map(struct memory_calls *calls, const Crs__Vma *vma, bool has_pages,
                   struct crs_error *err)
{
    int r = 0;

    if (memory_vma_is_sysv(calls->ctx->memory, vma))
        r = memory_add_attach(calls, vma, err);
    else
        add_mmap(calls, vma, has_pages);
    for (size_t i = 0; i < ELEMENTS(advices); i++)
        if (vma_has(vma, advices[i].flag))
            memory_calls_add(calls, advices[i].what, SYS_madvise, vma->start, vma->end - vma->start,
                             advices[i].advice, 0, 0, 0);
    return r;
}

static bool is_mapped(const Crs__Vma *vma)
{
    return vma->kind != CRS__VMA_KIND__VMA_VDSO && vma->kind != CRS__VMA_KIND__VMA_VVAR &&
           vma->kind != CRS__VMA_KIND__VMA_RING;
}

int memory_map(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct crs_error *err)
{
    _cleanup_memory_calls_ struct memory_calls calls = {.ctx = ctx};

    int r = 0;

    for (size_t i = 0; r == 0 && i < space->n_vmas; i++)
        if (is_mapped(space->vmas[i]))
            r = add_map(&calls, space->vmas[i], ctx->memory_files->has_pages[i], err);
    return r < 0 ? r : memory_calls_run(&calls, err);
}

/* Kernels without guard pages get the next best thing: pages that can't be touched. */
static int install_guards(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                          struct crs_error *err)
{
    _cleanup_memory_calls_ struct memory_calls calls = {.ctx = ctx};
    const Crs__Run *first = space->n_guards ? space->guards[0] : NULL;
    int64_t result;

    if (!first)
        return 0;
    int r = REMOTE(tracee_main(ctx->t), &result, err, SYS_madvise, first->first * PAGE,
                   first->count * PAGE, MADV_GUARD_INSTALL);
    if (r < 0)
        return r;
    for (size_t i = 0; i < space->n_guards; i++) {
        uint64_t start = space->guards[i]->first * PAGE, size = space->guards[i]->count * PAGE;
        if (result == 0)
            memory_calls_add(&calls, "guard memory", SYS_madvise, start, size, MADV_GUARD_INSTALL,
                             0, 0, 0);
        else
            memory_calls_add(&calls, "guard memory", SYS_mprotect, start, size, PROT_NONE, 0, 0, 0);
    }
    return memory_calls_run(&calls, err);
}

int memory_protect(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct crs_error *err)
{
    _cleanup_memory_calls_ struct memory_calls calls = {.ctx = ctx};

    for (size_t i = 0; i < space->n_vmas; i++) {
        const Crs__Vma *vma = space->vmas[i];
        bool has_pages = ctx->memory_files->has_pages[i];
        if (is_mapped(vma) && first_protection(vma, has_pages) != vma->protection)
            memory_calls_add(&calls, "protect memory", SYS_mprotect, vma->start,
                             vma->end - vma->start, vma->protection, 0, 0, 0);
    }
    int r = memory_calls_run(&calls, err);
    return r < 0 ? r : install_guards(ctx, space, err);
}
