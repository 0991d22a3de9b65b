/*
 * base.h - the older snapshot whose packs a new one refers to
 *
 * Its packs are linked into the new directory under their own names: a chunk that both have is the
 * same (pack, offset) in both. New packs get higher numbers. Nothing in an older pack is changed.
 *
 * A pack of which less than half was needed by the base, and all above a number of packs, the
 * smallest first, are *retired*: not linked, so that what is still needed of them is written anew,
 * and space stays bounded.
 */
#ifndef STORE_BASE_H
#define STORE_BASE_H

#include "content.pb-c.h"
#include "store/store.h"

#define BASE_PACKS 48u /* linked at most */

struct base_pack {
    const Crs__Pack *table; /* in the record below */
    bool linked;
    bool noted; /* all of its chunks are in the index; else all of them count as needed */
};

struct store_base {
    struct store_reader *reader;
    Crs__Packs *packs; /* NULL: it has none */
    ARRAY_OF(struct base_pack) items;
    uint32_t highest; /* number of a pack; 0: none is linked */
};

void base_free(struct store_base *base); /* NULL is nothing */

/* The tables of those that are needed, added to `ret`, which has room. Those that aren't lose their
 * names in the new directory. */
int base_finish(struct store_writer *w, Crs__Pack *ret, size_t *n, struct crs_error *err);

/* How many bytes of that pack's chunks the snapshot being written needs. */
uint64_t writer_live_bytes(const struct store_writer *w, uint32_t pack);

#endif
