/*
 * memory_restore.h - an address space while it is being built up; inside of memory*.c
 */
#ifndef ENGINE_MEMORY_RESTORE_H
#define ENGINE_MEMORY_RESTORE_H

#include "engine/memory.h"
#include "proc/maps.h"
#include "proc/pagemap.h"

#define PAGE       4096ull
#define PAGE_OF(a) ((a) / PAGE)
#define MEMORY_TOP 0x7ffffffff000ull /* end of a process's addresses */
#define MEMORY_LOW 0x10000ull

#define SCRATCH_SIZE (64u << 10)
#define SCRATCH_OURS (48u << 10) /* the rest is for batches of calls */

/* Descriptors that all stubs inherit, under the same numbers as here; and, while one is built up,
 * what lies where in it. */
struct memory_files {
    int *mapped;           /* for each memory->files; -1: not used */
    int *objects;          /* for each memory->objects: readable and writable */
    int *readonly_objects; /* the same, for mappings that may never be made writable */
    int *packs;            /* by number */
    size_t n_mapped, n_objects, n_packs;
    int64_t old_limit; /* of open files, to be put back; -1: not changed */

    uint64_t work, work_size; /* the area that is free of saved mappings */
    bool *has_pages;          /* for each mapping of its space: pages are filled in */
};

static inline bool vma_has(const Crs__Vma *vma, uint32_t flag)
{
    return vma->flags & flag;
}

/* Are its pages its own, so that they may be filled in? */
bool memory_vma_is_private(const Crs__Vma *vma);
/* The first mapping that ends behind the address; they are sorted. n_vmas: there is none. */
size_t memory_find_vma(const Crs__AddressSpace *space, uint64_t address);

/* memory_layout.c: the snapshot isn't trusted. Mappings in order, apart, within bounds; numbers of
 * files and objects that exist; pages only where they may be. CRS_DAMAGED. */
int memory_check_layout(const Crs__Memory *memory, const Crs__AddressSpace *space,
                        struct crs_error *err);
/* memory_huge.c: 0, or a size that huge pages have somewhere. */
bool memory_is_huge_size(uint64_t bytes);
/* Does this machine have as many huge pages left as the snapshot needs? */
int memory_check_huge(struct kobj_restore *ctx, struct crs_error *err);

/* Mark the mappings that get pages. has_pages: space->n_vmas items. */
int memory_mark_pages(const Crs__AddressSpace *space, bool *has_pages, struct crs_error *err);

struct address_range {
    uint64_t start, end;
};
/* The middle of the largest gap that none of the ranges (in any order; they are sorted) touches. 0
 * when there's none of `size` bytes. */
uint64_t memory_find_gap(struct address_range *ranges, size_t n, uint64_t size);

/* memory_calls.c: calls gathered and run together. */
struct memory_calls {
    struct kobj_restore *ctx;
    ARRAY_OF(struct remote_call) calls;
    ARRAY_OF(const char *) what; /* for words: "map memory"; beginning with '?': only warn */
    int result;                  /* of the first add that failed */
};
void memory_calls_add(struct memory_calls *c, const char *what, long number, uint64_t a0,
                      uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);
/* Run all, check all, forget all. A call whose first argument is an address is named by it. */
int memory_calls_run(struct memory_calls *c, struct crs_error *err);
void memory_calls_clear(struct memory_calls *c);
#define _cleanup_memory_calls_ __attribute__((cleanup(memory_calls_clear)))

/* memory_vdso.c */
int memory_check_vdso(const Crs__AddressSpace *space, struct crs_error *err);
/* Find the mappings [vvar] to [vdso] of the stub; n 0: it has none. */
const struct proc_map *memory_vdso_maps(const struct proc_maps *maps, size_t *ret_n);
/* Move them so that the first lies at `to`. Changes *address to where the first lies now. */
int memory_vdso_move(struct kobj_restore *ctx, const struct proc_map *maps, size_t n,
                     uint64_t *address, uint64_t to, struct crs_error *err);
/* Put the vDSO, which stands at `address`, into its place, or make one that leads to it. */
int memory_vdso_place(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                      const struct proc_map *maps, size_t n, uint64_t address,
                      struct crs_error *err);

/* memory_sysv.c: calls that attach a segment of System V shared memory, and give each of its parts
 * its protection. Nothing for other mappings than these. */
bool memory_vma_is_sysv(const Crs__Memory *memory, const Crs__Vma *vma);
int memory_add_attach(struct memory_calls *calls, const Crs__Vma *vma, struct crs_error *err);

/* memory_map.c */
int memory_map(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct crs_error *err);
int memory_protect(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct crs_error *err);

/* memory_keys.c: protection keys. Can they be had here? Take them before anything is mapped; give
 * them to the mappings when these are filled. */
int memory_check_keys(const Crs__AddressSpace *space, struct crs_error *err);
int memory_take_keys(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                     struct crs_error *err);
int memory_set_keys(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                    struct crs_error *err);

/* memory_lock.c: lock what was locked; and what will be mapped, when nothing of ours will be. */
int memory_lock(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct crs_error *err);
int memory_lock_future(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                       struct crs_error *err);

/* memory_fill.c: all chunks but those that are marked in `later` (NULL: none). */
int memory_fill(struct kobj_restore *ctx, const Crs__AddressSpace *space, const bool *later,
                struct crs_error *err);

/* memory_policy.c: before the memory is filled. */
int memory_policy_restore(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                          struct crs_error *err);

/* memory_files.c, memory_elf.c */
int memory_checksum_file(int fd, uint64_t size, struct bytes *ret);
int elf_build_id(int fd, struct bytes *ret);

#endif
