/*
 * smaps.h - the text of /proc/PID/smaps: mappings with the kernel's flags
 */
#ifndef PROC_SMAPS_H
#define PROC_SMAPS_H

#include "maps.h"

/* Flags of a mapping (VmFlags), those that mean something to us. */
enum proc_vm_flag {
    PROC_VM_MAY_WRITE = 1 << 0,     /* mw */
    PROC_VM_GROWSDOWN = 1 << 1,     /* gd */
    PROC_VM_PFNMAP = 1 << 2,        /* pf */
    PROC_VM_LOCKED = 1 << 3,        /* lo */
    PROC_VM_IO = 1 << 4,            /* io */
    PROC_VM_SEQUENTIAL = 1 << 5,    /* sr */
    PROC_VM_RANDOM = 1 << 6,        /* rr */
    PROC_VM_DONTFORK = 1 << 7,      /* dc */
    PROC_VM_LOCK_ON_FAULT = 1 << 8, /* lf */
    PROC_VM_ACCOUNTED = 1 << 9,     /* ac */
    PROC_VM_NORESERVE = 1 << 10,    /* nr */
    PROC_VM_HUGETLB = 1 << 11,      /* ht */
    PROC_VM_SYNC = 1 << 12,         /* sf */
    PROC_VM_WIPEONFORK = 1 << 13,   /* wf */
    PROC_VM_DONTDUMP = 1 << 14,     /* dd */
    PROC_VM_MIXEDMAP = 1 << 15,     /* mm */
    PROC_VM_HUGEPAGE = 1 << 16,     /* hg */
    PROC_VM_NOHUGEPAGE = 1 << 17,   /* nh */
    PROC_VM_MERGEABLE = 1 << 18,    /* mg */
    PROC_VM_UFFD_MISSING = 1 << 19, /* um */
    PROC_VM_UFFD_WP = 1 << 20,      /* uw */
    PROC_VM_UFFD_MINOR = 1 << 21,   /* ui */
    PROC_VM_SHADOW_STACK = 1 << 22, /* ss */
    PROC_VM_SEALED = 1 << 23,       /* sl */
    PROC_VM_DROPPABLE = 1 << 24,    /* dp */
};

struct proc_smap {
    struct proc_map map;
    uint32_t flags; /* enum proc_vm_flag */
    uint32_t protection_key;
    uint64_t page_bytes; /* the kernel's own (hugetlb); not of transparent huge pages */
    uint64_t resident_pages, swapped_pages;
    uint64_t huge_resident_pages; /* of the resident ones: in transparent huge pages, counted in
                                   * small ones */
};

struct proc_smaps {
    struct proc_smap *items;
    size_t n, room;
    char *text;
};

/* As proc_maps_parse(). Lines and flags that are not known are passed over. */
int proc_smaps_parse(const char *text, size_t size, struct proc_smaps *ret, struct crs_error *err);
void proc_smaps_clear(struct proc_smaps *smaps);
#define _cleanup_proc_smaps_ __attribute__((cleanup(proc_smaps_clear)))

/* The mapping that starts at `start`, or NULL. */
const struct proc_smap *proc_smaps_find(const struct proc_smaps *smaps, uint64_t start);

#endif
