/*
 * lazy_space.h - which pages of an address space are still to be brought, and from where
 *
 * Pages come in chunks of the snapshot. A page is wanted until it is there, or until the program
 * has thrown it away (munmap, MADV_DONTNEED, ...): then it reads as zeros, or isn't there at all.
 * What the program moves (mremap) stays wanted, elsewhere. A child that it forks wants what its
 * parent did.
 *
 * Threads: pages are found and marked as there by several at once, who hold the server's lock for
 * reading; everything that follows an event needs it for writing.
 */
#ifndef ENGINE_LAZY_SPACE_H
#define ENGINE_LAZY_SPACE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "content.pb-c.h"
#include "base/error.h"

#define LAZY_PAGE 4096ull

/* Pages that lie side by side, in the program and in a chunk. */
struct lazy_piece {
    uint64_t page;          /* where they are now, by number */
    uint64_t bit;           /* of the first; never changes */
    uint32_t count, offset; /* offset: in the chunk, in pages */
    uint32_t chunk;
};

/* By their pages, for qsort(3); then: the first that ends behind the page. */
int lazy_compare_pieces(const void *a, const void *b);
size_t lazy_find_piece(const struct lazy_piece *pieces, size_t n, uint64_t page);

/* Where the pages are: made anew when some are moved. */
struct lazy_map;

/* What is to be brought, of one address space of the snapshot; for its forked copies, too. */
struct lazy_source {
    Crs__Chunk **chunks; /* borrowed, in the order in which they are brought */
    size_t n_chunks;
    struct lazy_piece *pieces; /* of these chunks, at first; their bits are 0 to n_pages - 1 */
    size_t n_pieces;
    uint64_t n_pages;
};

struct lazy_space {
    int uffd;
    const struct lazy_source *source;
    struct lazy_map *map;
    _Atomic uint64_t *wanted; /* a bit for each page */
    atomic_size_t n_wanted;
    atomic_size_t next; /* of the source's chunks, to be brought in the background */
    bool closed;        /* all is there, or the address space is gone */
};

/* Takes uffd over when it succeeds. -ENOMEM. */
int lazy_space_new(int uffd, const struct lazy_source *source, struct lazy_space **ret);
/* Of a child that was just forked. */
int lazy_space_fork(const struct lazy_space *parent, int uffd, struct lazy_space **ret);
void lazy_space_free(struct lazy_space *space); /* NULL is nothing; closes the uffd */

/* The chunk that a page comes from; -1: the page isn't wanted. */
int64_t lazy_space_chunk_of(const struct lazy_space *space, uint64_t page);

struct lazy_run {
    uint64_t page, bit;
    uint32_t offset, count;
};
/* Pages of the chunk that are wanted and lie side by side: the first ones; or, where that is one of
 * them, `page` alone. False: none. */
bool lazy_space_next_run(const struct lazy_space *space, size_t chunk, uint64_t page,
                         struct lazy_run *ret);

/* They aren't wanted any more. */
void lazy_space_mark(struct lazy_space *space, uint64_t first_bit, uint64_t n);

/* Events, in pages: thrown away; moved. */
void lazy_space_drop(struct lazy_space *space, uint64_t first, uint64_t end);
int lazy_space_move(struct lazy_space *space, uint64_t from, uint64_t to, uint64_t n);

#endif
