/*
 * memory_same.c - pages that are in several processes are stored once
 *
 * Processes that were forked have most of their pages in common, but seldom whole chunks: each has
 * written to a few pages in between. So pages are known by the checksums of their bytes. Where half
 * of a chunk that was put before, or more, is found among the pages that are to be put now, that
 * chunk is referred to, with its other pages passed over; what is left is put as usual.
 *
 * Below half it would be read in vain at each restart, and increments would copy it anew.
 */
#include <stdlib.h>
#include <string.h>

#include "memory_image.h"

#define MAX_PAGES   (1u << 19) /* that are known; of those above, each is stored */
#define LEAST_PAGES 4          /* that are worth a reference */

struct same_chunk {
    uint64_t offset;
    uint32_t pack, stored_bytes, n_pages;
    Crs__Codec codec;
    uint8_t checksum[CHECKSUM_SIZE];
};

struct same_page {
    uint8_t checksum[CHECKSUM_SIZE];
    uint32_t chunk, index; /* which of `chunks`, and its place there */
};

struct memory_same {
    pthread_mutex_t lock;
    ARRAY_OF(struct same_chunk) chunks;
    ARRAY_OF(struct same_page) pages;
    uint32_t *slots; /* place in `pages` + 1; 0: empty */
    size_t n_slots;  /* a power of two */
};

void memory_same_begin(struct memory_set *set)
{
    if (set->images.n < 2 || set->same)
        return;
    set->same = calloc(1, sizeof(*set->same)); /* without it each page is stored */
    if (set->same)
        pthread_mutex_init(&set->same->lock, NULL);
}

void memory_same_free(struct memory_same *same)
{
    if (!same)
        return;
    pthread_mutex_destroy(&same->lock);
    free(same->chunks.items);
    free(same->pages.items);
    free(same->slots);
    free(same);
}

/* ---- the table ---- */

/* Where that page is, or would be. */
static uint32_t *find_slot(const struct memory_same *same, const uint8_t *checksum)
{
    uint64_t key;

    memcpy(&key, checksum, sizeof(key));
    for (size_t i = key;; i++) {
        uint32_t *slot = &same->slots[i & (same->n_slots - 1)];
        if (!*slot || memcmp(same->pages.items[*slot - 1].checksum, checksum, CHECKSUM_SIZE) == 0)
            return slot;
    }
}

static const struct same_page *find_page(const struct memory_same *same, const uint8_t *checksum)
{
    uint32_t slot = same->n_slots ? *find_slot(same, checksum) : 0;

    return slot ? &same->pages.items[slot - 1] : NULL;
}

/* At most half of the slots are used. */
static int make_room(struct memory_same *same)
{
    size_t n = same->n_slots ? same->n_slots * 2 : 4096;

    if ((same->pages.n + 1) * 2 <= same->n_slots)
        return 0;
    uint32_t *slots = calloc(n, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    free(same->slots);
    same->slots = slots;
    same->n_slots = n;
    for (size_t i = 0; i < same->pages.n; i++)
        *find_slot(same, same->pages.items[i].checksum) = i + 1;
    return 0;
}

static void add_page(struct memory_same *same, const uint8_t *checksum, uint32_t chunk,
                     uint32_t index)
{
    if (same->pages.n >= MAX_PAGES || make_room(same) < 0)
        return;
    uint32_t *slot = find_slot(same, checksum);
    struct same_page *page = *slot ? NULL : ARRAY_ADD(&same->pages);
    if (!page)
        return;
    memcpy(page->checksum, checksum, CHECKSUM_SIZE);
    page->chunk = chunk;
    page->index = index;
    *slot = same->pages.n;
}

void memory_same_note(struct memory_same *same, const Crs__Chunk *chunk,
                      const struct page_checksums *checksums)
{
    const uint32_t n_pages = chunk->raw_bytes / PAGE;

    pthread_mutex_lock(&same->lock);
    struct same_chunk *noted = same->pages.n < MAX_PAGES ? ARRAY_ADD(&same->chunks) : NULL;
    if (noted) {
        *noted = (struct same_chunk){.offset = chunk->offset,
                                     .pack = chunk->pack,
                                     .stored_bytes = chunk->stored_bytes,
                                     .n_pages = n_pages,
                                     .codec = chunk->codec};
        memcpy(noted->checksum, chunk->checksum.data, CHECKSUM_SIZE);
        for (uint32_t i = 0; i < n_pages; i++)
            add_page(same, checksums->of[i], same->chunks.n - 1, i);
    }
    pthread_mutex_unlock(&same->lock);
}

/* ---- pages to be put ---- */

/* Which pages of a chunk are which of the buffer's. */
struct match {
    struct same_chunk chunk;
    uint32_t n;                        /* how many */
    uint32_t pages[STORE_CHUNK_PAGES]; /* of the chunk's page i: the buffer's + 1; 0: none */
};

static void match_chunk(const struct memory_same *same, const struct copy_buffer *buffer,
                        const struct page_checksums *checksums, uint32_t chunk, struct match *ret)
{
    *ret = (struct match){.chunk = same->chunks.items[chunk]};
    for (uint32_t i = 0; i < buffer->n; i++) {
        const struct same_page *page = find_page(same, checksums->of[i]);
        if (!page || page->chunk != chunk || ret->pages[page->index])
            continue;
        ret->pages[page->index] = i + 1;
        ret->n++;
    }
}

/* The chunk that most of them are in; n 0: none is worth it. */
static void find_match(const struct memory_same *same, const struct copy_buffer *buffer,
                       const struct page_checksums *checksums, struct match *ret)
{
    uint32_t tried = UINT32_MAX;
    struct match match;

    *ret = (struct match){0};
    for (uint32_t i = 0; i < buffer->n && ret->n * 2 < buffer->n; i++) {
        const struct same_page *page = find_page(same, checksums->of[i]);
        if (!page || page->chunk == tried)
            continue;
        tried = page->chunk;
        match_chunk(same, buffer, checksums, tried, &match);
        if (match.n >= LEAST_PAGES && match.n * 2 >= match.chunk.n_pages && match.n > ret->n)
            *ret = match;
    }
}

/* A page of the chunk that isn't ours is passed over, and bears the number that it would have. */
static int set_runs(Crs__Chunk *chunk, const struct match *match, const struct copy_buffer *buffer)
{
    struct chunk_run_list list = {.n = 0};
    uint64_t page = 0;

    for (uint32_t i = 0; i < match->chunk.n_pages; i++) {
        if (match->pages[i])
            page = buffer->page[match->pages[i] - 1];
        chunk_run_list_add(&list, page++, 1, !match->pages[i]);
    }
    return chunk_runs_set(chunk, &list);
}

static int refer(const struct match *match, const struct copy_buffer *buffer, Crs__Chunk **ret)
{
    Crs__Chunk *chunk = malloc(sizeof(*chunk));

    if (!chunk)
        return -ENOMEM;
    crs__chunk__init(chunk);
    chunk->pack = match->chunk.pack;
    chunk->offset = match->chunk.offset;
    chunk->stored_bytes = match->chunk.stored_bytes;
    chunk->raw_bytes = match->chunk.n_pages * PAGE;
    chunk->codec = match->chunk.codec;
    chunk->checksum.data = malloc(CHECKSUM_SIZE);
    if (!chunk->checksum.data || set_runs(chunk, match, buffer) < 0) {
        crs__chunk__free_unpacked(chunk, NULL);
        return -ENOMEM;
    }
    chunk->checksum.len = CHECKSUM_SIZE;
    memcpy(chunk->checksum.data, match->chunk.checksum, CHECKSUM_SIZE);
    *ret = chunk;
    return 0;
}

/* Squeeze out what is referred to. */
static void keep_others(const struct match *match, struct copy_buffer *buffer,
                        struct page_checksums *checksums)
{
    bool found[STORE_CHUNK_PAGES] = {0};
    uint32_t to = 0;

    for (uint32_t i = 0; i < match->chunk.n_pages; i++)
        if (match->pages[i])
            found[match->pages[i] - 1] = true;
    for (uint32_t i = 0; i < buffer->n; i++) {
        if (found[i])
            continue;
        if (to != i) {
            memcpy(buffer->data + to * PAGE, buffer->data + i * PAGE, PAGE);
            memcpy(checksums->of[to], checksums->of[i], CHECKSUM_SIZE);
        }
        buffer->page[to++] = buffer->page[i];
    }
    buffer->n = to;
}

int memory_same_take(struct memory_same *same, struct copy_buffer *buffer,
                     struct page_checksums *checksums, Crs__Chunk **ret)
{
    struct match match;
    int r = 0;

    for (uint32_t i = 0; i < buffer->n; i++)
        checksum_of(buffer->data + i * PAGE, PAGE, checksums->of[i]);
    pthread_mutex_lock(&same->lock);
    find_match(same, buffer, checksums, &match);
    pthread_mutex_unlock(&same->lock);
    if (match.n > 0)
        r = refer(&match, buffer, ret);
    if (match.n > 0 && r == 0)
        keep_others(&match, buffer, checksums);
    return r;
}
