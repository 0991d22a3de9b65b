/*
 * lazy.h - a restart on demand: the program runs before its memory is there
 *
 * Calling sequence: lazy_probe() tells whether it can be had here. While each address space is
 * built up, lazy_arm() chooses what comes later and makes the process wait for it when it touches
 * it; then the rest is filled in. lazy_start(), before anything else touches the memory, starts the
 * server (lazy_server.h), which outlives us. If the stubs are killed it ends.
 *
 * Pages come later where they can: private memory without a file. The kernel has no way to wait for
 * changed pages of private file mappings; locked memory has to be there; shared memory belongs to
 * others, too; the stack is read by others through /proc.
 */
#ifndef ENGINE_LAZY_H
#define ENGINE_LAZY_H

#include "kobj/kobj.h"

/* Can it be had here? CRS_NOT_PERMITTED, with words. */
int lazy_probe(struct crs_error *err);

struct lazy;

/* report_fd: an end of a pair of sockets, for a struct lazy_report; stays the caller's. `says`:
 * keep standard error for words that nobody takes there. */
int lazy_new(int report_fd, bool says, struct lazy **ret, struct crs_error *err);
void lazy_free(struct lazy *lazy); /* closes what is ours of it; NULL is nothing */

/* What of one address space comes later. */
struct lazy_part {
    bool *later;      /* for each chunk of the space: pages of it come later; NULL: of none */
    bool *registered; /* for each mapping: its pages come later */
    int uffd;         /* ours of the process's; -1: nothing comes later */
};
void lazy_part_clear(struct lazy_part *part);
#define _cleanup_lazy_part_ __attribute__((cleanup(lazy_part_clear)))

/*
 * When ctx->t has its mappings, and before any page of them is there: what is touched now would
 * have pages around it, too, where these are huge. Where it can't be had nothing comes later, with
 * a warning.
 */
int lazy_arm(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct lazy_part *ret,
             struct crs_error *err);

/* Of chunks of which pages come later, fill in those pages that don't. */
int lazy_fill_rest(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                   const struct lazy_part *part, struct crs_error *err);

/* When all are armed. Nothing, where nothing is. */
int lazy_start(struct kobj_restore *ctx, struct crs_error *err);

#endif
