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

/* Hold a process for a moment; `begins`: to be tracked from now on, else it need only stand still.
 */
int ahead_hold(struct ahead *a, pid_t pid, struct memory_live *live, bool begins,
               struct crs_error *err);

/* Choose what is tracked of a process, and track it. Whatever keeps it from that is no failure: it
 * is copied in the freeze. */
int ahead_begin(struct ahead *a, struct memory_image *image, struct crs_error *err);

/*
 * Before its mappings are known, which another thread is reading: what the session has of it can be
 * marked and copied as it was tracked. live->early says whether that is so. ahead_begin() follows.
 */
int ahead_begin_early(struct ahead *a, struct memory_image *image, struct crs_error *err);

#endif
