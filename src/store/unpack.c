/* unpack.c - chunks read from packs */
#include <inttypes.h>
#include <string.h>

#include "base/io.h"
#include "reader.h"
#include "store/message.h"

struct reader_context *reader_context_take(struct store_reader *r)
{
    pthread_mutex_lock(&r->lock);
    struct reader_context *context = r->idle;
    if (context)
        r->idle = context->next;
    pthread_mutex_unlock(&r->lock);
    if (!context)
        context = calloc(1, sizeof(*context));
    if (context && !codec_buffer(&context->codec)) {
        free(context);
        return NULL;
    }
    return context;
}

void reader_context_give(struct store_reader *r, struct reader_context *context)
{
    pthread_mutex_lock(&r->lock);
    context->next = r->idle;
    r->idle = context;
    pthread_mutex_unlock(&r->lock);
}

void reader_free_contexts(struct store_reader *r)
{
    for (struct reader_context *c = r->idle, *next; c; c = next) {
        next = c->next;
        codec_context_clear(&c->codec);
        free(c);
    }
    r->idle = NULL;
}

static struct reader_pack *find_pack(struct store_reader *r, uint32_t number)
{
    for (size_t i = 0; i < r->packs.n; i++) {
        if (r->packs.items[i].number == number)
            return &r->packs.items[i];
    }
    return NULL;
}

uint64_t reader_pack_size(void *reader, uint32_t number)
{
    const struct reader_pack *p = find_pack(reader, number);

    return p ? p->size_bytes : 0;
}

int store_reader_pack_fd(struct store_reader *r, uint32_t pack, int *ret_fd, struct crs_error *err)
{
    struct reader_pack *p = find_pack(r, pack);
    char name[LIMIT_FILE_NAME];
    int x = 0;

    if (!p)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: there is no pages.%u.pack", r->path, pack);
    if (p->in_stream) {
        *ret_fd = r->stream.fd;
        return 0;
    }
    pthread_mutex_lock(&r->lock);
    if (p->fd < 0) {
        snprintf(name, sizeof(name), "pages.%u.pack", pack);
        x = reader_open_file(r, name, p->size_bytes, &p->fd, err);
    }
    if (x == 0)
        *ret_fd = p->fd;
    pthread_mutex_unlock(&r->lock);
    return x;
}

int reader_place(struct store_reader *r, uint32_t pack, uint64_t offset, uint64_t size_bytes,
                 int *ret_fd, uint64_t *ret_position, struct crs_error *err)
{
    const struct reader_pack *p = find_pack(r, pack);
    uint64_t position = offset;

    int x = store_reader_pack_fd(r, pack, ret_fd, err);
    if (x == 0 && p->in_stream && stream_place(p->in_stream, offset, size_bytes, &position) < 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "%s: %" PRIu64 " bytes at byte %" PRIu64
                        " of pages.%u.pack are in no section of the stream",
                        r->path, size_bytes, offset, pack);
    if (x == 0)
        *ret_position = position;
    return x;
}

int store_chunk_position(struct store_reader *r, const Crs__Chunk *chunk, uint64_t *ret_position,
                         struct crs_error *err)
{
    int fd;

    return reader_place(r, chunk->pack, chunk->offset, chunk->stored_bytes, &fd, ret_position, err);
}

int reader_read_stored(struct store_reader *r, uint32_t pack, uint64_t offset,
                       uint32_t stored_bytes, const uint8_t *checksum, void *data,
                       struct crs_error *err)
{
    uint8_t found[CHECKSUM_SIZE];
    uint64_t position;
    int fd;

    uint64_t size = reader_pack_size(r, pack);
    if (size < stored_bytes || offset > size - stored_bytes)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "%s: a chunk at byte %" PRIu64 " of pages.%u.pack, which has %" PRIu64,
                        r->path, offset, pack, size);
    int x = reader_place(r, pack, offset, stored_bytes, &fd, &position, err);
    if (x < 0)
        return x;
    x = pread_full(fd, data, stored_bytes, position);
    if (x < 0) {
        errno = -x;
        return crs_fail_errno(err, CRS_DAMAGED, "%s: can't read pages.%u.pack at byte %" PRIu64,
                              r->path, pack, offset);
    }
    checksum_of(data, stored_bytes, found);
    if (memcmp(found, checksum, CHECKSUM_SIZE) != 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "%s: pages.%u.pack: the %u bytes at byte %" PRIu64
                        " have a wrong checksum: they have changed",
                        r->path, pack, stored_bytes, offset);
    return 0;
}

static int check(struct store_reader *r, const Crs__Chunk *chunk, struct crs_error *err)
{
    int x = chunk_check(chunk, err);

    return x < 0 ? crs_fail_at(err, x, "%s: chunk at byte %" PRIu64 " of pages.%u.pack", r->path,
                               chunk->offset, chunk->pack)
                 : 0;
}

/* All others go straight to where they belong. */
static int read_encoded(struct store_reader *r, const Crs__Chunk *chunk,
                        struct reader_context *context, void *raw, struct crs_error *err)
{
    void *buffer = context->codec.buffer;
    int x = reader_read_stored(r, chunk->pack, chunk->offset, chunk->stored_bytes,
                               chunk->checksum.data, buffer, err);
    if (x < 0)
        return x;
    size_t size = chunk->stored_bytes;
    if (codec_is_sealed(chunk->codec)) {
        if (!r->seal || seal_open_data(r->seal, NULL, buffer, size, buffer) < 0)
            return crs_fail(err, CRS_DAMAGED, EBADMSG,
                            "%s: pages.%u.pack: the chunk at byte %" PRIu64
                            " was not encrypted with this snapshot's key",
                            r->path, chunk->pack, chunk->offset);
        size -= SEAL_BYTES;
    }
    x = codec_decompress(codec_inner(chunk->codec), &context->codec, buffer, size, raw,
                         chunk->raw_bytes);
    if (x == -ENOMEM)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory to decompress");
    if (x < 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "%s: pages.%u.pack: the chunk at byte %" PRIu64 " can't be decompressed",
                        r->path, chunk->pack, chunk->offset);
    return 0;
}

int store_read_chunk(struct store_reader *r, const Crs__Chunk *chunk, void *raw,
                     struct crs_error *err)
{
    int x = check(r, chunk, err);

    if (x < 0)
        return x;
    if (chunk->codec == CRS__CODEC__CODEC_NONE)
        return reader_read_stored(r, chunk->pack, chunk->offset, chunk->stored_bytes,
                                  chunk->checksum.data, raw, err);
    struct reader_context *context = reader_context_take(r);
    if (!context)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    x = read_encoded(r, chunk, context, raw, err);
    reader_context_give(r, context);
    return x;
}

int store_check_chunk(struct store_reader *r, const Crs__Chunk *chunk, struct crs_error *err)
{
    int x = check(r, chunk, err);

    if (x < 0)
        return x;
    struct reader_context *context = reader_context_take(r);
    if (!context)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    x = reader_read_stored(r, chunk->pack, chunk->offset, chunk->stored_bytes, chunk->checksum.data,
                           context->codec.buffer, err);
    reader_context_give(r, context);
    return x;
}
