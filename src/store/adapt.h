/*
 * adapt.h - which codec is worth its time, chosen while a snapshot is being written
 *
 * Compressing pays where it takes less time than writing the bytes that it saves. What writing
 * takes is known only while it goes on, so a writer begins without compression and looks after
 * every window of bytes: where the destination is behind, it goes one rung up the ladder of codecs;
 * where the destination waits for the processors, one down. Between the two it stays. What was not
 * quicker than the rung below it was a mistake: down again, and the next try waits, longer each
 * time.
 *
 * Nothing here has a clock or a thread: the caller measures, and locks.
 */
#ifndef STORE_ADAPT_H
#define STORE_ADAPT_H

#include <stdbool.h>

#include "store/codec.h"

#define ADAPT_WINDOW_BYTES (8ull << 20)  /* of memory, from one decision to the next */
#define ADAPT_WINDOW_NS    200000000     /* or so long kept by the destination */
#define ADAPT_HIGH_BYTES   (24ull << 20) /* handed over to the disk and not there yet: one up */
#define ADAPT_LOW_BYTES    (8ull << 20)  /* no more than that: one down */

#define ADAPT_RUNGS        5
#define ADAPT_MOST_WAITING 64 /* windows */

struct adapt {
    unsigned rung;                                                   /* 0: no compression */
    uint64_t raw_bytes, stored_bytes, work_ns, blocked_ns, began_ns; /* of this window */
    double speed[ADAPT_RUNGS];            /* of the last window: bytes of memory in a nanosecond */
    double share[ADAPT_RUNGS];            /* of these, bytes to be written; 0: not known */
    unsigned waits[ADAPT_RUNGS], waiting; /* until that rung may be tried (again) */
};

/* What became of one chunk. */
struct adapt_chunk {
    uint64_t raw_bytes, stored_bytes;
    uint64_t work_ns;      /* for compressing it */
    uint64_t blocked_ns;   /* for handing it over to what doesn't take it at once; else 0 */
    uint64_t behind_bytes; /* handed over, and not written yet */
    double disk_speed;     /* what the disk has taken of that, in a nanosecond; 0: not known */
    uint64_t now_ns;
};

/* none, lz4, zstd:1, zstd:3, zstd:6 */
struct codec adapt_codec(const struct adapt *a);
void adapt_note(struct adapt *a, const struct adapt_chunk *chunk);

#endif
