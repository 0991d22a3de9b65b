/*
 * blcr_common.h - what BLCR's library, its tools and its service have in common
 *
 * Programs include libcr.h, which includes this. The records of BLCR's kernel interface
 * (/proc/checkpoint/ctrl) are not here: there is no kernel module behind this implementation.
 */
#ifndef BLCR_COMMON_H
#define BLCR_COMMON_H

#include "blcr_errcodes.h"

/* The release of BLCR whose interface this is, and its library's version. */
#define CR_RELEASE            "0.8.6_b4"
#define CR_RELEASE_MAJOR      0
#define CR_RELEASE_MINOR      8
#define CR_RELEASE_PATCHLEVEL 6
#define LIBCR_MAJOR           0
#define LIBCR_MINOR           5
#define LIBCR_PATCH           5
#define CR_MODULE_MAJOR       0
#define CR_MODULE_MINOR       10
#define CR_MODULE_PATCH       3

/* The signal that BLCR reserved. Nothing here depends on it: a program may use it. */
#define CR_SIGNUM 64

#if defined(__GNUC__)
#define _CR_DEPRECATED __attribute__((deprecated))
#else
#define _CR_DEPRECATED
#endif

/* Which processes: that of the given ID, all of the process group or session of that ID, or it
 * with all its descendants. */
typedef enum {
    CR_SCOPE_PROC = 0,
    CR_SCOPE_PGRP = 1,
    CR_SCOPE_SESS = 2,
    CR_SCOPE_TREE = 3
} cr_scope_t;

/* Flags of a request for a checkpoint. */
#define CR_CHKPT_PROHIBIT_SELF 0x1u   /* EDEADLK if who asks is in the scope */
#define CR_CHKPT_PTRACED_ALLOW 0x2u   /* take processes that a debugger traces */
#define CR_CHKPT_PTRACED_SKIP  0x4u   /* leave them out; without either: CR_EPTRACED */
#define CR_CHKPT_PTRACER_SKIP  0x8u   /* leave out who traces others; without: CR_EPTRACER */
#define CR_CHKPT_ASYNC_ERR     0x10u  /* tell almost every error when the request is reaped */
#define CR_CHKPT_DUMP_EXEC     0x200u /* save the executable, too */
#define CR_CHKPT_DUMP_PRIVATE  0x400u /* and files that are mapped privately (libraries) */
#define CR_CHKPT_DUMP_SHARED   0x800u /* and files that are mapped shared */
#define CR_CHKPT_DUMP_ALL      (CR_CHKPT_DUMP_EXEC | CR_CHKPT_DUMP_PRIVATE | CR_CHKPT_DUMP_SHARED)

/* Flags of a request for a restart. */
#define CR_RSTRT_ASYNC_ERR    0x1u
#define CR_RSTRT_RESTORE_PID  0x2u
#define CR_RSTRT_RESTORE_PGID 0x4u
#define CR_RSTRT_RESTORE_SID  0x8u

/* Names of files that are other ones at the restart: leading components `oldpath` become
 * `newpath`. The caller owns all of it. */
struct cr_rstrt_relocate_pair {
    char *oldpath;
    char *newpath;
};

struct cr_rstrt_relocate {
    unsigned int count; /* at most CR_MAX_RSTRT_RELOC */
#if defined(__GNUC__)
    __extension__
#endif
        struct cr_rstrt_relocate_pair path[];
};

#define CR_MAX_RSTRT_RELOC 16
#define CR_RSTRT_RELOCATE_SIZE(n)                                                                  \
    (sizeof(struct cr_rstrt_relocate) + (n) * sizeof(struct cr_rstrt_relocate_pair))

#endif
