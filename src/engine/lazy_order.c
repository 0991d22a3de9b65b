/* lazy_order.c - what is brought first: pages that were hot when they were saved */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/lazy_start.h"

#define MOST_HOT 65536 /* runs that are looked at */

/* A chunk, and the first hot run that it has pages of. */
struct ranked {
    uint32_t rank, chunk;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

static void rank(const struct lazy_source *source, const Crs__Run *hot, uint32_t place,
                 struct ranked *ranked)
{
    uint64_t end = hot->first + hot->count < hot->first ? UINT64_MAX : hot->first + hot->count;

    for (size_t i = lazy_find_piece(source->pieces, source->n_pieces, hot->first);
         i < source->n_pieces && source->pieces[i].page < end; i++)
        if (place < ranked[source->pieces[i].chunk].rank)
            ranked[source->pieces[i].chunk].rank = place;
}

int lazy_order(Crs__Run *const *hot, size_t n_hot, struct lazy_source *source)
{
    _cleanup_free_ struct ranked *ranked = calloc(source->n_chunks + 1, sizeof(*ranked));
    _cleanup_free_ uint32_t *now_at = calloc(source->n_chunks + 1, sizeof(*now_at));
    Crs__Chunk **chunks;

    if (n_hot == 0)
        return 0;
    chunks = calloc(source->n_chunks + 1, sizeof(*chunks));
    if (!ranked || !now_at || !chunks) {
        free(chunks);
        return -ENOMEM;
    }
    for (size_t i = 0; i < source->n_chunks; i++)
        ranked[i] = (struct ranked){UINT32_MAX, i};
    qsort(source->pieces, source->n_pieces, sizeof(*source->pieces), lazy_compare_pieces);
    for (size_t i = 0; i < n_hot && i < MOST_HOT; i++)
        rank(source, hot[i], i, ranked);
    qsort(ranked, source->n_chunks, sizeof(*ranked), compare_ranked);
    for (size_t i = 0; i < source->n_chunks; i++) {
        chunks[i] = source->chunks[ranked[i].chunk];
        now_at[ranked[i].chunk] = i;
    }
    for (size_t i = 0; i < source->n_pieces; i++)
        source->pieces[i].chunk = now_at[source->pieces[i].chunk];
    free(source->chunks);
    source->chunks = chunks;
    return 0;
}
