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
    p->number = w->n_packs + 1;
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

/* Write the bytes at the pack's end: uncompressed ones where a restart can read them directly. */
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
    checksum_of(data, size, entry->checksum);
    *ret = *entry;
    if (!w->stream)
        start_writeback(w, p);
    return 0;
}

static int put_in_pack(struct store_writer *w, struct pack *p, const void *raw, size_t size,
                       Crs__Chunk *ret, struct crs_error *err)
{
    struct pack_entry entry = {0};
    struct encoding stored;

    int r = writer_encode(w, p, raw, size, &stored, err);
    if (r < 0)
        return r;
    _cleanup_free_ uint8_t *checksum = malloc(CHECKSUM_SIZE);
    if (!checksum)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    r = append(w, p, stored.data, stored.size, stored.codec, &entry, err);
    if (r < 0)
        return r;
    writer_encoded(w, p, size, &stored);
    memcpy(checksum, entry.checksum, CHECKSUM_SIZE);
    ret->pack = p->number;
    ret->offset = entry.offset;
    ret->stored_bytes = stored.size;
    ret->raw_bytes = size;
    ret->codec = stored.codec;
    ret->checksum.data = TAKE_PTR(checksum);
    ret->checksum.len = CHECKSUM_SIZE;
    return 0;
}

int store_put_chunk(struct store_writer *w, const void *raw, size_t size, Crs__Chunk *ret,
                    struct crs_error *err)
{
    struct pack *p = NULL;

    if (size == 0 || size > STORE_CHUNK_SIZE || size % STORE_PAGE_SIZE)
        return crs_fail(err, CRS_FAILED, EINVAL, "a chunk can't have %zu bytes", size);
    int r = pack_take(w, &p, err);
    if (r < 0)
        return r;
    r = put_in_pack(w, p, raw, size, ret, err);
    pack_give(w, p);
    return r;
}

/* The columns of one pack's table. Everything hangs on *ret at once, so that the caller frees. */
static int table_fill(const struct pack *p, Crs__Pack *ret)
{
    size_t n = p->entries.n;

    ret->number = p->number;
    ret->size_bytes = p->end;
    ret->offsets = calloc(n, sizeof(*ret->offsets));
    ret->stored_bytes = calloc(n, sizeof(*ret->stored_bytes));
    ret->checksums.data = calloc(n, CHECKSUM_SIZE);
    if (!ret->offsets || !ret->stored_bytes || !ret->checksums.data)
        return -ENOMEM;
    ret->n_offsets = ret->n_stored_bytes = n;
    ret->checksums.len = n * CHECKSUM_SIZE;
    for (size_t i = 0; i < n; i++) {
        const struct pack_entry *e = &p->entries.items[i];
        ret->offsets[i] = e->offset;
        ret->stored_bytes[i] = e->stored_bytes;
        memcpy(ret->checksums.data + i * CHECKSUM_SIZE, e->checksum, CHECKSUM_SIZE);
    }
    return 0;
}

static void table_clear(Crs__Pack *table)
{
    free(table->offsets);
    free(table->stored_bytes);
    free(table->checksums.data);
}

static int put_tables(struct store_writer *w, Crs__Pack *tables, struct crs_error *err)
{
    Crs__Pack *pointers[WRITER_PACKS];
    Crs__Packs packs = CRS__PACKS__INIT;

    for (unsigned i = 0; i < w->n_packs; i++) {
        if (table_fill(w->packs[i], &tables[i]) < 0)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        pointers[i] = &tables[i];
    }
    packs.n_packs = w->n_packs;
    packs.packs = pointers;
    return store_put_record(w, PACKS_RECORD, &packs.base, err);
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

int writer_finish_packs(struct store_writer *w, struct crs_error *err)
{
    Crs__Pack tables[WRITER_PACKS];
    int r = 0;

    for (unsigned i = 0; i < w->n_packs && r == 0; i++) {
        char name[LIMIT_FILE_NAME];
        snprintf(name, sizeof(name), "pages.%u.pack", w->packs[i]->number);
        r = finish_pack(w, w->packs[i], name, err);
        if (r == 0)
            r = writer_add_file(w, name, w->packs[i]->end, NULL, err);
    }
    if (r < 0 || w->n_packs == 0)
        return r;
    for (unsigned i = 0; i < w->n_packs; i++)
        tables[i] = (Crs__Pack)CRS__PACK__INIT;
    r = put_tables(w, tables, err);
    for (unsigned i = 0; i < w->n_packs; i++)
        table_clear(&tables[i]);
    return r;
}
