/* lazy_space.c - which pages of an address space are still to be brought */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/lazy_space.h"

struct lazy_map {
    unsigned n_users;
    size_t n;
    struct lazy_piece *pieces; /* by page */
    uint32_t *of_chunk;        /* pieces by chunk: those of chunk c begin at chunk_at[c] */
    uint32_t *chunk_at;
};

static void map_drop(struct lazy_map *map)
{
    if (!map || --map->n_users > 0)
        return;
    free(map->pieces);
    free(map->of_chunk);
    free(map->chunk_at);
    free(map);
}

int lazy_compare_pieces(const void *a, const void *b)
{
    const struct lazy_piece *x = a, *y = b;

    return x->page < y->page ? -1 : x->page > y->page;
}

static void index_chunks(struct lazy_map *map, size_t n_chunks)
{
    for (size_t i = 0; i < map->n; i++)
        map->chunk_at[map->pieces[i].chunk + 1]++;
    for (size_t c = 0; c < n_chunks; c++)
        map->chunk_at[c + 1] += map->chunk_at[c];
    /* From the end, so that each entry ends up where its chunk's begin. */
    for (size_t i = map->n; i-- > 0;)
        map->of_chunk[--map->chunk_at[map->pieces[i].chunk + 1]] = i;
    /* Each is one too far to the right now. */
    memmove(map->chunk_at, map->chunk_at + 1, n_chunks * sizeof(*map->chunk_at));
    map->chunk_at[n_chunks] = map->n;
}

/* Takes pieces over in every case. NULL: no memory. */
static struct lazy_map *map_new(struct lazy_piece *pieces, size_t n, size_t n_chunks)
{
    struct lazy_map *map = calloc(1, sizeof(*map));

    if (!map) {
        free(pieces);
        return NULL;
    }
    *map = (struct lazy_map){.n_users = 1,
                             .n = n,
                             .pieces = pieces,
                             .of_chunk = calloc(n + 1, sizeof(*map->of_chunk)),
                             .chunk_at = calloc(n_chunks + 2, sizeof(*map->chunk_at))};
    if (!map->of_chunk || !map->chunk_at) {
        map_drop(map);
        return NULL;
    }
    qsort(pieces, n, sizeof(*pieces), lazy_compare_pieces);
    index_chunks(map, n_chunks);
    return map;
}

static struct lazy_map *first_map(const struct lazy_source *source)
{
    struct lazy_piece *pieces = calloc(source->n_pieces + 1, sizeof(*pieces));

    if (!pieces)
        return NULL;
    memcpy(pieces, source->pieces, source->n_pieces * sizeof(*pieces));
    return map_new(pieces, source->n_pieces, source->n_chunks);
}

static size_t n_words(const struct lazy_source *source)
{
    return source->n_pages / 64 + 1;
}

static struct lazy_space *new_space(int uffd, const struct lazy_source *source,
                                    struct lazy_map *map)
{
    struct lazy_space *space = calloc(1, sizeof(*space));

    if (!space)
        return NULL;
    space->uffd = uffd;
    space->source = source;
    space->map = map;
    space->wanted = calloc(n_words(source), sizeof(*space->wanted));
    if (space->wanted)
        return space;
    free(space);
    return NULL;
}

int lazy_space_new(int uffd, const struct lazy_source *source, struct lazy_space **ret)
{
    struct lazy_map *map = first_map(source);
    struct lazy_space *space = map ? new_space(uffd, source, map) : NULL;

    if (!space) {
        map_drop(map);
        return -ENOMEM;
    }
    for (size_t i = 0; i < source->n_pages / 64; i++)
        atomic_init(&space->wanted[i], UINT64_MAX);
    atomic_init(&space->wanted[source->n_pages / 64], (1ull << source->n_pages % 64) - 1);
    space->n_wanted = source->n_pages;
    *ret = space;
    return 0;
}

int lazy_space_fork(const struct lazy_space *parent, int uffd, struct lazy_space **ret)
{
    struct lazy_space *space = new_space(uffd, parent->source, parent->map);

    if (!space)
        return -ENOMEM;
    parent->map->n_users++;
    for (size_t i = 0; i < n_words(parent->source); i++)
        atomic_init(&space->wanted[i], parent->wanted[i]);
    space->n_wanted = parent->n_wanted;
    *ret = space;
    return 0;
}

void lazy_space_free(struct lazy_space *space)
{
    if (!space)
        return;
    cleanup_close(&space->uffd);
    map_drop(space->map);
    free(space->wanted);
    free(space);
}

static bool is_wanted(const struct lazy_space *space, uint64_t bit)
{
    return space->wanted[bit / 64] >> bit % 64 & 1;
}

size_t lazy_find_piece(const struct lazy_piece *pieces, size_t n, uint64_t page)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pieces[middle].page + pieces[middle].count <= page)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t find_piece(const struct lazy_map *map, uint64_t page)
{
    return lazy_find_piece(map->pieces, map->n, page);
}

int64_t lazy_space_chunk_of(const struct lazy_space *space, uint64_t page)
{
    size_t i = find_piece(space->map, page);

    if (i >= space->map->n || space->map->pieces[i].page > page)
        return -1;
    const struct lazy_piece *p = &space->map->pieces[i];
    return is_wanted(space, p->bit + (page - p->page)) ? (int64_t)p->chunk : -1;
}

static bool run_at(const struct lazy_space *space, const struct lazy_piece *p, uint32_t from,
                   uint32_t most, struct lazy_run *ret)
{
    uint32_t n = 0;

    while (from + n < p->count && n < most && is_wanted(space, p->bit + from + n))
        n++;
    *ret = (struct lazy_run){p->page + from, p->bit + from, p->offset + from, n};
    return n > 0;
}

bool lazy_space_next_run(const struct lazy_space *space, size_t chunk, uint64_t page,
                         struct lazy_run *ret)
{
    const struct lazy_map *map = space->map;
    size_t i = find_piece(map, page);

    if (i < map->n && map->pieces[i].page <= page && map->pieces[i].chunk == chunk &&
        run_at(space, &map->pieces[i], page - map->pieces[i].page, 1, ret))
        return true;
    for (uint32_t k = map->chunk_at[chunk]; k < map->chunk_at[chunk + 1]; k++) {
        const struct lazy_piece *p = &map->pieces[map->of_chunk[k]];
        for (uint32_t from = 0; from < p->count; from++)
            if (run_at(space, p, from, UINT32_MAX, ret))
                return true;
    }
    return false;
}

void lazy_space_mark(struct lazy_space *space, uint64_t first_bit, uint64_t n)
{
    uint64_t end = first_bit + n;

    for (uint64_t bit = first_bit; bit < end;) {
        uint64_t word = bit / 64, next = (word + 1) * 64 < end ? (word + 1) * 64 : end;
        uint64_t mask = (next - bit == 64 ? UINT64_MAX : (1ull << (next - bit)) - 1) << bit % 64;
        uint64_t before = atomic_fetch_and(&space->wanted[word], ~mask);
        space->n_wanted -= __builtin_popcountll(before & mask);
        bit = next;
    }
}

void lazy_space_drop(struct lazy_space *space, uint64_t first, uint64_t end)
{
    const struct lazy_map *map = space->map;

    for (size_t i = find_piece(map, first); i < map->n && map->pieces[i].page < end; i++) {
        const struct lazy_piece *p = &map->pieces[i];
        uint64_t from = first > p->page ? first - p->page : 0;
        uint64_t to = end - p->page < p->count ? end - p->page : p->count;
        lazy_space_mark(space, p->bit + from, to - from);
    }
}

/* ---- mremap ---- */

/* The part of a piece that lies in [first, end). */
static bool cut(const struct lazy_piece *p, uint64_t first, uint64_t end, struct lazy_piece *ret)
{
    uint64_t from = first > p->page ? first - p->page : 0;
    uint64_t to = end <= p->page ? 0 : end - p->page < p->count ? end - p->page : p->count;

    if (from >= to)
        return false;
    *ret =
        (struct lazy_piece){p->page + from, p->bit + from, to - from, p->offset + from, p->chunk};
    return true;
}

/* All but what lies in two ranges, which are apart. Returns how many. */
static size_t cut_out(const struct lazy_piece *p, uint64_t a, uint64_t b, uint64_t n,
                      struct lazy_piece *ret)
{
    uint64_t low = a < b ? a : b, high = a < b ? b : a;
    size_t k = cut(p, 0, low, ret);

    k += cut(p, low + n, high, ret + k);
    return k + cut(p, high + n, UINT64_MAX, ret + k);
}

/* What was at the destination was unmapped; its pieces go. */
int lazy_space_move(struct lazy_space *space, uint64_t from, uint64_t to, uint64_t n)
{
    const struct lazy_map *old = space->map;
    size_t k = 0;

    lazy_space_drop(space, to, to + n);
    struct lazy_piece *pieces = calloc(4 * old->n + 1, sizeof(*pieces));
    if (!pieces)
        return -ENOMEM;
    for (size_t i = 0; i < old->n; i++) {
        if (cut(&old->pieces[i], from, from + n, &pieces[k])) {
            pieces[k].page += to - from;
            k++;
        }
        k += cut_out(&old->pieces[i], from, to, n, &pieces[k]);
    }
    struct lazy_map *map = map_new(pieces, k, space->source->n_chunks);
    if (!map)
        return -ENOMEM;
    map_drop(space->map);
    space->map = map;
    return 0;
}
