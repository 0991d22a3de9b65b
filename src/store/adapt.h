/*
 * adapt.h - which codec is worth its time, chosen while a snapshot is being written
 *
 * Compressing pays where it takes less time than writing the bytes that it saves. What writing
 * takes is known only while it goes on, so a writer begins without compression and looks after
 * every window of bytes: where the destination is behind, it goes one rung up the ladder of codecs;
 * where the destination waits for the processors, one down. Between the two it stays.
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

struct adapt {
    unsigned rung; /* of the ladder; 0: no compression */
    uint64_t raw_bytes, work_ns, blocked_ns;
};

/* What became of one chunk. */
struct adapt_chunk {
    uint64_t raw_bytes, stored_bytes;
    uint64_t work_ns;      /* for compressing it */
    uint64_t blocked_ns;   /* for handing it over to what doesn't take it at once; else 0 */
    uint64_t behind_bytes; /* handed over, and not written yet */
};

/* none, lz4, zstd:1, zstd:3, zstd:6 */
struct codec adapt_codec(const struct adapt *a);
void adapt_note(struct adapt *a, const struct adapt_chunk *chunk);

#endif
