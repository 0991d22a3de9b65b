/* chunk_runs.c - which pages a chunk has */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/numbers.h"
#include "store/chunk_runs.h"

/* As messages, which readers of older versions know, as long as they are few: each takes 72 bytes
 * of memory and 10 of a record, and in the list two of either. */
#define MOST_MESSAGES 4

static bool next_of_list(struct chunk_runs_at *at, struct chunk_run *ret)
{
    const ProtobufCBinaryData *list = &at->chunk->run_list;
    const uint8_t *code = list->data + at->at, *end = list->data + list->len;
    uint64_t difference, count;

    if (!number_get(&code, end, &difference) || !number_get(&code, end, &count))
        return false;
    *ret =
        (struct chunk_run){number_apply_difference(at->before, difference), count >> 1, count & 1};
    at->at = code - list->data;
    at->before = ret->first + ret->count;
    return true;
}

bool chunk_runs_next(struct chunk_runs_at *at, struct chunk_run *ret)
{
    const Crs__Chunk *chunk = at->chunk;

    if (chunk->run_list.len > 0)
        return next_of_list(at, ret);
    if (at->at >= chunk->n_runs)
        return false;
    const Crs__Run *run = chunk->runs[at->at++];
    *ret = (struct chunk_run){run->first, run->count, run->dropped};
    return true;
}

int chunk_runs_check(const Crs__Chunk *chunk, uint64_t *ret_pages)
{
    struct chunk_runs_at at = chunk_runs_begin(chunk);
    struct chunk_run run;
    uint64_t pages = 0;

    if (chunk->run_list.len > 0 && chunk->n_runs > 0)
        return -EBADMSG;
    while (chunk_runs_next(&at, &run)) {
        if (run.count == 0 || run.count > STORE_CHUNK_PAGES || run.first >= LIMIT_PAGE)
            return -EBADMSG;
        pages += run.count;
        if (pages > STORE_CHUNK_PAGES) /* so there are no more runs either */
            return -EBADMSG;
    }
    if (chunk->run_list.len > 0 && at.at != chunk->run_list.len)
        return -EBADMSG;
    *ret_pages = pages;
    return 0;
}

uint64_t chunk_live_pages(const Crs__Chunk *chunk)
{
    struct chunk_run run;
    uint64_t pages = 0;

    chunk_runs_each (run, chunk)
        pages += run.dropped ? 0 : run.count;
    return pages;
}

/* ---- setting ---- */

void chunk_run_list_add(struct chunk_run_list *list, uint64_t first, uint64_t count, bool dropped)
{
    struct chunk_run *last = list->n ? &list->items[list->n - 1] : NULL;

    if (count == 0)
        return;
    if (last && last->dropped == dropped && last->first + last->count == first)
        last->count += count;
    else if (list->n < ELEMENTS(list->items))
        list->items[list->n++] = (struct chunk_run){first, count, dropped};
}

static void free_runs(Crs__Run **runs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        crs__run__free_unpacked(runs[i], NULL);
    free(runs);
}

static Crs__Run **messages_of(const struct chunk_run_list *list)
{
    Crs__Run **runs = calloc(list->n + 1, sizeof(*runs));

    for (size_t i = 0; runs && i < list->n; i++) {
        runs[i] = malloc(sizeof(*runs[i]));
        if (!runs[i]) {
            free_runs(runs, i);
            return NULL;
        }
        crs__run__init(runs[i]);
        runs[i]->first = list->items[i].first;
        runs[i]->count = list->items[i].count;
        runs[i]->dropped = list->items[i].dropped;
    }
    return runs;
}

static uint8_t *code_of(const struct chunk_run_list *list, size_t *ret_size)
{
    uint8_t code[STORE_CHUNK_PAGES * 2 * NUMBER_MAX_BYTES];
    uint64_t before = 0;
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++) {
        const struct chunk_run *run = &list->items[i];
        n += number_put(code + n, number_of_difference(before, run->first));
        n += number_put(code + n, run->count << 1 | run->dropped);
        before = run->first + run->count;
    }
    uint8_t *copy = malloc(n);
    if (copy)
        memcpy(copy, code, n);
    *ret_size = n;
    return copy;
}

int chunk_runs_set(Crs__Chunk *chunk, const struct chunk_run_list *list)
{
    bool few = list->n <= MOST_MESSAGES;
    size_t size = 0;
    Crs__Run **runs = few ? messages_of(list) : NULL;
    uint8_t *code = few ? NULL : code_of(list, &size);

    if (!runs && !code)
        return -ENOMEM;
    free_runs(chunk->runs, chunk->n_runs);
    free(chunk->run_list.data);
    chunk->runs = runs;
    chunk->n_runs = few ? list->n : 0;
    chunk->run_list = (ProtobufCBinaryData){size, code};
    return 0;
}
