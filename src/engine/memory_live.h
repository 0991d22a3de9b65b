/*
 * memory_live.h - what was copied before the freeze; inside of memory_ahead.c and memory_live.c
 *
 * A page is *covered* when it was read after it got its mark (proc/pagemap.h), and all threads
 * stood still for a moment in between: an operation of the kernel that had the page in its hands by
 * then, and would write to it past the page table, was over. If it has the mark still in the
 * freeze, it holds what was read.
 */
#ifndef ENGINE_MEMORY_LIVE_H
#define ENGINE_MEMORY_LIVE_H

#include "engine/memory_image.h"
#include "tracee/timeouts.h"
#include "tracee/track.h"

struct live_range {
    uint64_t start, end;
    uint32_t how; /* enum copy_how */
};

struct memory_live {
    struct track *track;
    int pagemap_fd, mem_fd;
    bool guard_bit;
    ARRAY_OF(struct live_range) ranges; /* tracked, in order */
    struct page_runs covered;
    struct page_runs marked; /* of this round: to be copied */
    struct page_runs kept;   /* in the freeze: covered, and not written to since */
    bool lasting;            /* for a session: what is copied in the freeze gets its mark there, */
    struct page_runs fresh;  /* and these have */
    struct page_runs again;  /* of the session before: to be copied again, written to or not */
    struct page_runs late;   /* in the freeze: written to since the last round */
    ARRAY_OF(struct page_runs) rounds; /* memory_hot.c: marked in those after the first */
    ARRAY_OF(Crs__Chunk *) chunks;
    struct tracee_timeouts timeouts;
    bool early;              /* its first round was begun before its mappings were known */
    struct proc_smaps smaps; /* of the session before: the mappings */
    bool was_huge;           /* of the session before: some was in transparent huge pages */
    uint64_t faults; /* page faults of the process before this round marked anything; 0: unknown */
    bool is_marked;  /* for the first round, while it was held to be tracked: it stood still, too */
    bool given_up;   /* nothing of it counts */
};

/* The copies of these pages are out of date. 0 or -ENOMEM. */
int live_forget(struct memory_live *live, const struct page_runs *pages);

/* Of the chunks only these pages count. 0 or -ENOMEM. */
int live_drop_others(struct memory_live *live, const struct page_runs *pages);

/* memory_written.c: is it copied ahead? */
bool live_takes_part(const struct memory_image *image);
/* How many page faults the process has had; 0: it isn't known. To be noted before a round. */
uint64_t live_read_faults(pid_t pid);
/* How many pages were written to since they were marked? Where it's no more than `few`, how many at
 * most: that takes no look at each. */
uint64_t live_count_written(const struct memory_set *set, uint64_t few);

/* memory_hot.c: a round after the first has marked its pages. 0 or -ENOMEM. */
int live_note_round(struct memory_live *live);
void live_forget_rounds(struct memory_live *live);
/* Which pages are written to, the latest first, into the record. */
int live_record_hot(const struct memory_live *live, Crs__AddressSpace *space);

/* Nothing of it counts any more, and nothing is tracked. */
void live_give_up(struct memory_live *live);

#endif
