/*
 * chunk_runs.h - which pages a chunk has, in either form (proto/content.proto)
 *
 *     struct chunk_run run;
 *     chunk_runs_each (run, chunk)
 *         ...
 *
 * Of a chunk that wasn't checked (store_unpack() checks all) there may be fewer than it says.
 */
#ifndef STORE_CHUNK_RUNS_H
#define STORE_CHUNK_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "content.pb-c.h"
#include "store/layout.h"
#include "store/store.h"

struct chunk_run {
    uint64_t first, count;
    bool dropped;
};

struct chunk_runs_at {
    const Crs__Chunk *chunk;
    size_t at;       /* of `runs`, or bytes of `run_list` */
    uint64_t before; /* where the run before ends */
};
static inline struct chunk_runs_at chunk_runs_begin(const Crs__Chunk *chunk)
{
    return (struct chunk_runs_at){.chunk = chunk};
}
/* False: there's none left. */
bool chunk_runs_next(struct chunk_runs_at *at, struct chunk_run *ret);
#define chunk_runs_each(run, chunk)                                                                \
    for (struct chunk_runs_at at_##run = chunk_runs_begin(chunk);                                  \
         chunk_runs_next(&at_##run, &(run));)

/* Is it well-formed, and how many pages? -EBADMSG: no. Of a chunk that has no runs yet: 0. */
int chunk_runs_check(const Crs__Chunk *chunk, uint64_t *ret_pages);
/* Pages that count: not dropped. */
uint64_t chunk_live_pages(const Crs__Chunk *chunk);

/* Runs to be set. There may be no more than a chunk has pages. */
struct chunk_run_list {
    struct chunk_run items[STORE_CHUNK_PAGES];
    size_t n;
};
/* Add pages at the end, joined to the last run if they go on from it. */
void chunk_run_list_add(struct chunk_run_list *list, uint64_t first, uint64_t count, bool dropped);
/* They become those of the chunk. 0, or -ENOMEM and nothing is changed. */
int chunk_runs_set(Crs__Chunk *chunk, const struct chunk_run_list *list);

#endif
