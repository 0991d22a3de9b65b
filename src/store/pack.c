/* pack.c - chunks appended to packs */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "writer.h"

#define WRITEBACK_BYTES (4u << 20)

static void pack_free(struct pack *p)
{
    if (!p)
        return;
    cleanup_close(&p->fd);
    free(p->piece.data);
    codec_context_clear(&p->context);
    free(p->entries.items);
    free(p);
}

void writer_free_packs(struct store_writer *w)
{
    flusher_stop(&w->flusher);
    for (unsigned i = 0; i < w->n_packs; i++)
        pack_free(w->packs[i]);
    w->n_packs = 0;
}

static int pack_new(struct store_writer *w, struct pack **ret, struct crs_error *err)
{
    char name[LIMIT_FILE_NAME];
    struct pack *p = calloc(1, sizeof(*p));

    if (!p)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    p->fd = -1;
    p->number = (w->base ? w->base->highest : 0) + w->n_packs + 1;
    p->busy = true;
    snprintf(name, sizeof(name), "pages.%u.pack", p->number);
    int r = w->stream ? 0 : writer_create_file(w, name, &p->fd, err);
    if (r < 0) {
        pack_free(p);
        return r;
    }
    w->packs[w->n_packs++] = p;
    *ret = p;
    return 0;
}

/* A pack that nobody else uses, until pack_give(). */
static int pack_take(struct store_writer *w, struct pack **ret, struct crs_error *err)
{
    struct pack *found = NULL;
    int r = 0;

    pthread_mutex_lock(&w->lock);
    while (!found && r == 0) {
        for (unsigned i = 0; i < w->n_packs && !found; i++)
            found = w->packs[i]->busy ? NULL : w->packs[i];
        if (!found && w->n_packs < WRITER_PACKS)
            r = pack_new(w, &found, err);
        else if (!found)
            pthread_cond_wait(&w->idle, &w->lock);
    }
    if (found)
        found->busy = true;
    pthread_mutex_unlock(&w->lock);
    if (r == 0)
        *ret = found;
    return r;
}

static void pack_give(struct store_writer *w, struct pack *p)
{
    pthread_mutex_lock(&w->lock);
    p->busy = false;
    pthread_cond_signal(&w->idle);
    pthread_mutex_unlock(&w->lock);
}

/* Have the disk write while we go on: the sync at the end then finds little left, and total time
 * with 4 MiB at once came to half of what it was. */
static void start_writeback(struct store_writer *w, struct pack *p)
{
    uint64_t whole_pages = p->end & ~(uint64_t)(STORE_PAGE_SIZE - 1);

    if (whole_pages - p->written_back < WRITEBACK_BYTES)
        return;
    flusher_add(&w->flusher, p->fd, p->written_back, whole_pages - p->written_back);
    p->written_back = whole_pages;
}

static int write_chunk(struct store_writer *w, struct pack *p, const char *name, const void *data,
                       size_t size, uint64_t offset, struct crs_error *err)
{
    int r = writer_check_size(w, name, offset + size, err);

    if (r < 0)
        return r;
    r = pwrite_full(p->fd, data, size, offset);
    if (r < 0) {
        errno = -r;
        return crs_fail_errno(err, CRS_STORAGE, "can't write %s of %s", name, w->path);
    }
    return 0;
}

/* Write the bytes at the pack's end: uncompressed ones where a restart can read them directly.
 * *ret has what they were before compression. */
static int append(struct store_writer *w, struct pack *p, const void *data, size_t size,
                  Crs__Codec codec, struct pack_entry *ret, struct crs_error *err)
{
    uint64_t offset = p->end;
    char name[LIMIT_FILE_NAME];

    snprintf(name, sizeof(name), "pages.%u.pack", p->number);
    if (codec == CRS__CODEC__CODEC_NONE || (w->stream && p->piece.size == 0))
        offset = (offset + STORE_PAGE_SIZE - 1) & ~(uint64_t)(STORE_PAGE_SIZE - 1);
    struct pack_entry *entry = ARRAY_ADD(&p->entries);
    if (!entry)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = limiter_wait(&w->limiter, size, err);
    if (r == 0)
        r = w->stream ? stream_put_chunk(w->stream, &p->piece, name, data, size, offset, err)
                      : write_chunk(w, p, name, data, size, offset, err);
    if (r < 0) {
        p->entries.n--;
        return r;
    }
    p->end = offset + size;
    entry->offset = offset;
    entry->stored_bytes = size;
    entry->raw_bytes = ret->raw_bytes;
    entry->codec = codec;
    memcpy(entry->raw_checksum, ret->raw_checksum, CHECKSUM_SIZE);
    if (codec == CRS__CODEC__CODEC_NONE)
        memcpy(entry->checksum, ret->raw_checksum, CHECKSUM_SIZE);
    else
        checksum_of(data, size, entry->checksum);
    *ret = *entry;
    if (!w->stream)
        start_writeback(w, p);
    return 0;
}

static int put_in_pack(struct store_writer *w, struct pack *p, const void *raw, size_t size,
                       const uint8_t *raw_checksum, struct indexed_chunk *ret,
                       struct crs_error *err)
{
    struct pack_entry entry = {.raw_bytes = size};
    struct encoding stored;

    memcpy(entry.raw_checksum, raw_checksum, CHECKSUM_SIZE);
    int r = writer_encode(w, p, raw, size, &stored, err);
    if (r < 0)
        return r;
    r = append(w, p, stored.data, stored.size, stored.codec, &entry, err);
    if (r < 0)
        return r;
    writer_encoded(w, p, size, &stored);
    *ret = (struct indexed_chunk){.offset = entry.offset,
                                  .pack = p->number,
                                  .stored_bytes = stored.size,
                                  .raw_bytes = size,
                                  .codec = stored.codec};
    memcpy(ret->checksum, entry.checksum, CHECKSUM_SIZE);
    memcpy(ret->raw_checksum, raw_checksum, CHECKSUM_SIZE);
    return 0;
}

/* A pack that it is noted for tells how much of it is needed. Else all counts as that. */
static int note_chunk(struct store_writer *w, struct pack *p, const struct indexed_chunk *chunk,
                      struct crs_error *err)
{
    pthread_mutex_lock(&w->lock);
    int r = index_add(&w->index, chunk);
    pthread_mutex_unlock(&w->lock);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of chunks");
    if (r == 0)
        p->unnoted_bytes += chunk->stored_bytes;
    return 0;
}

/* Is there one with these bytes, in this snapshot or its base? */
static bool find_chunk(struct store_writer *w, const uint8_t *raw_checksum, size_t size,
                       unsigned live_pages, struct indexed_chunk *ret)
{
    pthread_mutex_lock(&w->lock);
    struct indexed_chunk *found = index_find(&w->index, raw_checksum, size);
    if (found) {
        if (live_pages > found->live_pages)
            found->live_pages = live_pages;
        w->found_bytes += size;
        *ret = *found;
    }
    pthread_mutex_unlock(&w->lock);
    return found;
}

static int put_new(struct store_writer *w, const void *raw, size_t size,
                   const uint8_t *raw_checksum, unsigned live_pages, struct indexed_chunk *ret,
                   struct crs_error *err)
{
    struct pack *p = NULL;
    int r = pack_take(w, &p, err);

    if (r < 0)
        return r;
    r = put_in_pack(w, p, raw, size, raw_checksum, ret, err);
    ret->live_pages = live_pages;
    if (r == 0)
        r = note_chunk(w, p, ret, err);
    pack_give(w, p);
    return r;
}

static int put_chunk(struct store_writer *w, const void *raw, size_t size, unsigned live_pages,
                     Crs__Chunk *ret, struct crs_error *err)
{
    uint8_t raw_checksum[CHECKSUM_SIZE];
    struct indexed_chunk chunk;

    if (size == 0 || size > STORE_CHUNK_SIZE || size % STORE_PAGE_SIZE)
        return crs_fail(err, CRS_FAILED, EINVAL, "a chunk can't have %zu bytes", size);
    _cleanup_free_ uint8_t *checksum = malloc(CHECKSUM_SIZE);
    if (!checksum)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    checksum_of(raw, size, raw_checksum);
    if (!find_chunk(w, raw_checksum, size, live_pages, &chunk)) {
        int r = put_new(w, raw, size, raw_checksum, live_pages, &chunk, err);
        if (r < 0)
            return r;
    }
    memcpy(checksum, chunk.checksum, CHECKSUM_SIZE);
    ret->pack = chunk.pack;
    ret->offset = chunk.offset;
    ret->stored_bytes = chunk.stored_bytes;
    ret->raw_bytes = size;
    ret->codec = (Crs__Codec)chunk.codec;
    ret->checksum.data = TAKE_PTR(checksum);
    ret->checksum.len = CHECKSUM_SIZE;
    return 0;
}

int store_put_chunk(struct store_writer *w, const void *raw, size_t size, Crs__Chunk *ret,
                    struct crs_error *err)
{
    return put_chunk(w, raw, size, 0, ret, err);
}

int writer_put_chunk(struct store_writer *w, const void *raw, size_t size, Crs__Chunk *ret,
                     struct crs_error *err)
{
    return put_chunk(w, raw, size, size / STORE_PAGE_SIZE, ret, err);
}

/* The columns of one pack's table. Everything hangs on *ret at once, so that the caller frees. */
static int table_fill(const struct store_writer *w, const struct pack *p, Crs__Pack *ret)
{
    size_t n = p->entries.n;

    ret->number = p->number;
    ret->size_bytes = p->end;
    ret->offsets = calloc(n, sizeof(*ret->offsets));
    ret->stored_bytes = calloc(n, sizeof(*ret->stored_bytes));
    ret->checksums.data = calloc(n, CHECKSUM_SIZE);
    ret->raw_checksums.data = calloc(n, CHECKSUM_SIZE);
    ret->raw_bytes = calloc(n, sizeof(*ret->raw_bytes));
    ret->codecs.data = calloc(n, 1);
    if (!ret->offsets || !ret->stored_bytes || !ret->checksums.data || !ret->raw_checksums.data ||
        !ret->raw_bytes || !ret->codecs.data)
        return -ENOMEM;
    ret->n_offsets = ret->n_stored_bytes = ret->n_raw_bytes = ret->codecs.len = n;
    ret->checksums.len = ret->raw_checksums.len = n * CHECKSUM_SIZE;
    ret->live_bytes = p->unnoted_bytes + writer_live_bytes(w, p->number);
    for (size_t i = 0; i < n; i++) {
        const struct pack_entry *e = &p->entries.items[i];
        ret->offsets[i] = e->offset;
        ret->stored_bytes[i] = e->stored_bytes;
        memcpy(ret->checksums.data + i * CHECKSUM_SIZE, e->checksum, CHECKSUM_SIZE);
        memcpy(ret->raw_checksums.data + i * CHECKSUM_SIZE, e->raw_checksum, CHECKSUM_SIZE);
        ret->raw_bytes[i] = e->raw_bytes;
        ret->codecs.data[i] = e->codec;
    }
    return 0;
}

static void table_clear(Crs__Pack *table)
{
    free(table->offsets);
    free(table->stored_bytes);
    free(table->checksums.data);
    free(table->raw_checksums.data);
    free(table->raw_bytes);
    free(table->codecs.data);
}

static int finish_pack(struct store_writer *w, struct pack *p, const char *name,
                       struct crs_error *err)
{
    if (w->stream)
        return stream_put_piece(w->stream, &p->piece, name, err);
    /* a chunk that failed half-way may have left bytes behind the end */
    if (ftruncate(p->fd, p->end) < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't truncate %s of %s", name, w->path);
    return 0;
}

static int finish_new(struct store_writer *w, struct crs_error *err)
{
    int r = 0;

    for (unsigned i = 0; i < w->n_packs && r == 0; i++) {
        char name[LIMIT_FILE_NAME];
        snprintf(name, sizeof(name), "pages.%u.pack", w->packs[i]->number);
        r = finish_pack(w, w->packs[i], name, err);
        if (r == 0)
            r = writer_add_file(w, name, w->packs[i]->end, NULL, err);
    }
    return r;
}

/* First the new ones. */
static int put_tables(struct store_writer *w, Crs__Pack *tables, struct crs_error *err)
{
    Crs__Pack *pointers[WRITER_PACKS + BASE_PACKS];
    Crs__Packs packs = CRS__PACKS__INIT;
    size_t n = w->n_packs;

    for (unsigned i = 0; i < w->n_packs; i++)
        if (table_fill(w, w->packs[i], &tables[i]) < 0)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = base_finish(w, tables, &n, err);
    if (r < 0 || n == 0)
        return r;
    for (size_t i = 0; i < n; i++)
        pointers[i] = &tables[i];
    packs.n_packs = n;
    packs.packs = pointers;
    return store_put_record(w, PACKS_RECORD, &packs.base, err);
}

int writer_finish_packs(struct store_writer *w, struct crs_error *err)
{
    Crs__Pack tables[WRITER_PACKS + BASE_PACKS];
    int r = finish_new(w, err);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < w->n_packs; i++)
        tables[i] = (Crs__Pack)CRS__PACK__INIT;
    r = put_tables(w, tables, err);
    for (unsigned i = 0; i < w->n_packs; i++)
        table_clear(&tables[i]);
    return r;
}
