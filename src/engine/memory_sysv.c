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

/* The mapping of the same attachment that begins where `vma` ends. */
static bool goes_on(const struct memory_vma *const *list, size_t n, const struct memory_vma *vma)
{
    uint64_t next = vma->map.offset + (vma->map.end - vma->map.start);

    for (size_t i = 0; i < n; i++)
        if (list[i]->map.start == vma->map.end && list[i]->map.offset == next)
            return true;
    return false;
}

static bool has_before(const struct memory_vma *const *list, size_t n, const struct memory_vma *vma)
{
    for (size_t i = 0; i < n; i++)
        if (list[i]->map.end == vma->map.start &&
            list[i]->map.offset + (list[i]->map.end - list[i]->map.start) == vma->map.offset)
            return true;
    return false;
}

int memory_check_attached(const struct memory_vma *const *list, size_t n,
                          const Crs__MemoryObject *record, struct crs_error *err)
{
    uint64_t n_pages = PAGE_OF(record->size + PAGE - 1);

    for (size_t i = 0; i < n; i++) {
        const struct proc_map *map = &list[i]->map;
        uint64_t end = PAGE_OF(map->offset + (map->end - map->start));
        if ((map->offset == 0 || has_before(list, n, list[i])) &&
            (end == n_pages || goes_on(list, n, list[i])))
            continue;
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "the mapping %#llx-%#llx is a part of a segment of System V shared memory "
                        "(ID %u), of which another part was unmapped, which can't be done again; "
                        "detach it (shmdt) before the checkpoint",
                        (unsigned long long)map->start, (unsigned long long)map->end,
                        record->sysv->shmid);
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
