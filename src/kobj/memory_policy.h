/*
 * memory_policy.h - on which nodes (NUMA) memory is allocated: of threads, and of mappings
 */
#ifndef KOBJ_MEMORY_POLICY_H
#define KOBJ_MEMORY_POLICY_H

#include "kobj/kobj.h"

#define POLICY_NODES 1024 /* as many as a kernel may know */

struct memory_policy {
    uint32_t mode; /* MPOL_*, with flags; 0: the default */
    uint8_t nodes[POLICY_NODES / 8];
};

/* The policy of the thread (address 0), or of the mapping at an address. */
int memory_policy_get(struct tracee_thread *thread, uint64_t address, struct memory_policy *ret,
                      struct crs_error *err);
/* In a stub: of the thread (size 0), or of the range. What can't be had is told as a warning that
 * begins with `whose`. */
int memory_policy_set(struct kobj_restore *ctx, struct tracee_thread *thread, uint64_t address,
                      uint64_t size, const struct memory_policy *policy, const char *whose,
                      struct crs_error *err);

/* The bytes of the mask up to its last bit. */
size_t memory_policy_size(const struct memory_policy *policy);
/* From a record. CRS_DAMAGED. */
int memory_policy_load(uint32_t mode, const ProtobufCBinaryData *nodes, struct memory_policy *ret,
                       struct crs_error *err);

#endif
