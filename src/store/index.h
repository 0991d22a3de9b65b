/*
 * index.h - chunks of a snapshot being written, and where each stands
 *
 * A chunk is found by the checksum of its bytes before compression, so that none is stored twice,
 * and by its place, to note how much of it is needed.
 */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include "base/array.h"
#include "content.pb-c.h"
#include "store/layout.h"

struct indexed_chunk {
    uint8_t raw_checksum[CHECKSUM_SIZE], checksum[CHECKSUM_SIZE];
    uint64_t offset;
    uint32_t pack, stored_bytes, raw_bytes;
    uint16_t codec, live_pages; /* live: what refers to it needs so many */
};

struct chunk_index {
    ARRAY_OF(struct indexed_chunk) chunks;
    uint32_t *by_checksum, *by_place; /* place in `chunks` + 1; 0: empty */
    size_t n_slots;
};

/* Above that number no more are noted: what can't be found is stored again. */
#define INDEX_MAX (1u << 19)

void index_clear(struct chunk_index *index);

/* 1: it was added; 0: it is full; -ENOMEM. Of several with the same content the first is found. */
int index_add(struct chunk_index *index, const struct indexed_chunk *chunk);

/* NULL: there is none. Valid until the next one is added. */
struct indexed_chunk *index_find(const struct chunk_index *index, const uint8_t *raw_checksum,
                                 uint32_t raw_bytes);
struct indexed_chunk *index_find_place(const struct chunk_index *index, uint32_t pack,
                                       uint64_t offset);

#endif
