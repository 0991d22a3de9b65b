/* index.c - chunks by content and by place */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "index.h"

#define FIRST_SLOTS 256u

void index_clear(struct chunk_index *index)
{
    free(index->chunks.items);
    free(index->by_checksum);
    free(index->by_place);
    *index = (struct chunk_index){0};
}

static size_t slot_of_checksum(const struct chunk_index *index, const uint8_t *raw_checksum)
{
    uint64_t hash;

    memcpy(&hash, raw_checksum, sizeof(hash));
    return hash & (index->n_slots - 1);
}

static size_t slot_of_place(const struct chunk_index *index, uint32_t pack, uint64_t offset)
{
    uint64_t hash = (offset ^ (uint64_t)pack << 48) * 0x9e3779b97f4a7c15u;

    return hash >> 32 & (index->n_slots - 1);
}

static void enter(uint32_t *slots, size_t n_slots, size_t slot, uint32_t value)
{
    while (slots[slot])
        slot = (slot + 1) & (n_slots - 1);
    slots[slot] = value;
}

static void enter_chunk(struct chunk_index *index, size_t i)
{
    const struct indexed_chunk *c = &index->chunks.items[i];

    if (!index_find(index, c->raw_checksum, c->raw_bytes))
        enter(index->by_checksum, index->n_slots, slot_of_checksum(index, c->raw_checksum), i + 1);
    enter(index->by_place, index->n_slots, slot_of_place(index, c->pack, c->offset), i + 1);
}

/* Half of the slots stay empty. */
static int grow(struct chunk_index *index)
{
    size_t n = index->n_slots ? 2 * index->n_slots : FIRST_SLOTS;
    uint32_t *by_checksum = calloc(n, sizeof(*by_checksum));
    uint32_t *by_place = calloc(n, sizeof(*by_place));

    if (!by_checksum || !by_place) {
        free(by_checksum);
        free(by_place);
        return -ENOMEM;
    }
    free(index->by_checksum);
    free(index->by_place);
    index->by_checksum = by_checksum;
    index->by_place = by_place;
    index->n_slots = n;
    for (size_t i = 0; i < index->chunks.n; i++)
        enter_chunk(index, i);
    return 0;
}

struct indexed_chunk *index_find(const struct chunk_index *index, const uint8_t *raw_checksum,
                                 uint32_t raw_bytes)
{
    if (index->n_slots == 0)
        return NULL;
    for (size_t slot = slot_of_checksum(index, raw_checksum); index->by_checksum[slot];
         slot = (slot + 1) & (index->n_slots - 1)) {
        struct indexed_chunk *c = &index->chunks.items[index->by_checksum[slot] - 1];
        if (memcmp(c->raw_checksum, raw_checksum, CHECKSUM_SIZE) == 0 && c->raw_bytes == raw_bytes)
            return c;
    }
    return NULL;
}

struct indexed_chunk *index_find_place(const struct chunk_index *index, uint32_t pack,
                                       uint64_t offset)
{
    if (index->n_slots == 0)
        return NULL;
    for (size_t slot = slot_of_place(index, pack, offset); index->by_place[slot];
         slot = (slot + 1) & (index->n_slots - 1)) {
        struct indexed_chunk *c = &index->chunks.items[index->by_place[slot] - 1];
        if (c->pack == pack && c->offset == offset)
            return c;
    }
    return NULL;
}

int index_add(struct chunk_index *index, const struct indexed_chunk *chunk)
{
    if (index->chunks.n >= INDEX_MAX)
        return 0;
    if (2 * (index->chunks.n + 1) > index->n_slots && grow(index) < 0)
        return -ENOMEM;
    struct indexed_chunk *place = ARRAY_ADD(&index->chunks);
    if (!place)
        return -ENOMEM;
    *place = *chunk;
    enter_chunk(index, index->chunks.n - 1);
    return 1;
}
