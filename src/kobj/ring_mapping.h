/*
 * ring_mapping.h - mappings that a process shares with the kernel (VMA_RING), made by their kinds
 */
#ifndef KOBJ_RING_MAPPING_H
#define KOBJ_RING_MAPPING_H

#include "kobj/kobj.h"

/* The address space of a process; NULL: the snapshot has none of that number. */
const Crs__AddressSpace *ring_space(const struct kobj_restore *ctx, const Crs__Process *process);
/* The saved advice on a mapping that was just made. */
int ring_advise(struct tracee_thread *th, const Crs__Vma *vma, struct crs_error *err);

#endif
