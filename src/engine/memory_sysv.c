/*
 * memory_sysv.c - System V shared memory in an address space
 *
 * shmat(2) always maps a whole segment. mprotect(2) may have split the mapping since; one of which
 * a part was unmapped can't be made again.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "memory_image.h"
#include "memory_restore.h"

/* "/SYSV" and the key, with the mark of a deleted file; no file system has it. */
bool memory_is_sysv(const struct proc_map *map)
{
    return strncmp(map->name, "/SYSV", 5) == 0 && proc_map_marked_deleted(map) && map->shared;
}

static bool joins(const struct memory_vma *a, const struct memory_vma *b)
{
    return a->map.end == b->map.start && a->map.inode == b->map.inode && memory_is_sysv(&b->map) &&
           a->map.offset + (a->map.end - a->map.start) == b->map.offset;
}

/* Does the mapping begin and end where its segment does, or join others that do? */
static bool is_whole(const struct memory_image *image, size_t i, uint64_t n_pages)
{
    const struct memory_vma *vma = &image->vmas.items[i];
    uint64_t end = PAGE_OF(vma->map.offset + (vma->map.end - vma->map.start));

    return (vma->map.offset == 0 || (i > 0 && joins(vma - 1, vma))) &&
           (end == n_pages || (i + 1 < image->vmas.n && joins(vma, vma + 1)));
}

int memory_check_attached(const struct memory_image *image, const struct kobj_dump *ctx,
                          struct crs_error *err)
{
    for (size_t i = 0; i < image->vmas.n; i++) {
        const struct memory_vma *vma = &image->vmas.items[i];
        if (!vma->record || !memory_is_sysv(&vma->map))
            continue;
        const Crs__MemoryObject *object = ctx->objects.items[vma->record->object - 1].record;
        if (is_whole(image, i, PAGE_OF(kobj_object_whole_pages(object, object->size) + PAGE - 1)))
            continue;
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "the mapping %#llx-%#llx is a part of a segment of System V shared memory "
                        "(ID %u), of which another part was unmapped, which can't be done again; "
                        "detach it (shmdt) before the checkpoint",
                        (unsigned long long)vma->map.start, (unsigned long long)vma->map.end,
                        object->sysv->shmid);
    }
    return 0;
}

/* ---- restart ---- */

bool memory_vma_is_sysv(const Crs__Memory *memory, const Crs__Vma *vma)
{
    return vma->kind == CRS__VMA_KIND__VMA_OBJECT &&
           memory->objects[vma->object - 1]->kind == CRS__OBJECT_KIND__OBJECT_SYSV_SHM;
}

int memory_add_attach(struct memory_calls *calls, const Crs__Vma *vma, struct crs_error *err)
{
    bool writable = vma_has(vma, CRS__VMA_FLAG__VMA_FLAG_MAY_WRITE);
    uint32_t given = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    int shmid, r = kobj_sysv_open(calls->ctx, vma->object, &shmid, err);

    if (r < 0)
        return r;
    if (vma->offset == 0)
        memory_calls_add(calls, "attach shared memory", SYS_shmat, shmid, vma->start,
                         writable ? 0 : SHM_RDONLY, 0, 0, 0);
    if (vma->protection != given)
        memory_calls_add(calls, "protect memory", SYS_mprotect, vma->start, vma->end - vma->start,
                         vma->protection, 0, 0, 0);
    return 0;
}
