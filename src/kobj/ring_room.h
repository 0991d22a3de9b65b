/*
 * ring_room.h - make the kernel choose an address
 *
 * The rings of an io_uring can't be mapped at an address that the caller chooses, nor moved there
 * (Linux 6.3 and later). So all of the address space that is free is taken but for the one place.
 */
#ifndef KOBJ_RING_ROOM_H
#define KOBJ_RING_ROOM_H

#include "kobj/kobj.h"

/* Older kernels choose an address that nobody may have (below vm.mmap_min_addr), rather than one
 * above those that they look at first: must these lie as high up as can be, for the rings of these
 * address spaces? */
bool ring_room_is_below(const Crs__Memory *memory);

struct ring_range {
    uint64_t start, end;
};

struct ring_room {
    ARRAY_OF(struct ring_range) ranges; /* taken, in order */
};

/* Take all that is free in the stub of `th` and not smaller than a page. */
int ring_room_take(struct tracee_thread *th, struct ring_room *ret, struct crs_error *err);
/* One place is free: to be used at once. */
int ring_room_open(struct tracee_thread *th, const Crs__Vma *vma, struct crs_error *err);
/* Give back what was taken, but for the mappings (in order) that were opened. */
int ring_room_give_back(struct tracee_thread *th, const struct ring_room *room,
                        const Crs__Vma *const *opened, size_t n, struct crs_error *err);
void ring_room_clear(struct ring_room *room);
#define _cleanup_ring_room_ __attribute__((cleanup(ring_room_clear)))

#endif
