/*
 * memory_ahead.h - memory copied while the processes run; inside of memory_ahead.c and
 * memory_track.c
 */
#ifndef ENGINE_MEMORY_AHEAD_H
#define ENGINE_MEMORY_AHEAD_H

#include "engine/memory_live.h"

struct ahead {
    struct memory_set *set;
    struct kobj_dump *ctx;
    const volatile int *cancel;
    uint64_t deadline_us, least_bytes;
    struct crs_error *reason;
    bool early;         /* only those whose mappings aren't known again yet */
    bool may_leave;     /* all may be left to forked copies */
    bool left;          /* it is */
    int round;          /* the first is 0 */
    uint64_t done, all; /* of this round: pages of the processes before this one, of all */
};

/* Mark what is to be copied in this round: the first, or a later one. 0 or -ENOMEM. */
int ahead_mark(pid_t pid, struct memory_live *live, bool first, struct crs_error *err);
/* All threads stand still for a moment (memory_live.h). */
void ahead_settle(struct ahead *a, struct memory_image *image);

/* Choose what is tracked of a process, and track it. Whatever keeps it from that is no failure: it
 * is copied in the freeze. */
int ahead_begin(struct ahead *a, struct memory_image *image, struct crs_error *err);

/*
 * Before its mappings are known, which another thread is reading: what the session has of it can be
 * marked and copied as it was tracked. live->early says whether that is so. ahead_begin() follows.
 */
int ahead_begin_early(struct ahead *a, struct memory_image *image, struct crs_error *err);

#endif
