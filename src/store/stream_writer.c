/* stream_writer.c - a stream being written: sections, one behind the other */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/sink.h"
#include "store/stream.h"
#include "store/stream_writer.h"

/* A section of this size costs less than 1 % for its header and its padding. */
#define PIECE_SIZE STORE_CHUNK_SIZE

struct stream_writer {
    pthread_mutex_t lock;
    struct sink sink;
    int own_fd; /* -1: the caller's */
};

int stream_writer_open(int fd, bool own, const struct store_patience *patience,
                       struct stream_writer **ret, struct crs_error *err)
{
    struct stream_writer *s = calloc(1, sizeof(*s));

    if (!s)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = sink_open(fd, patience, &s->sink, err);
    if (r < 0) {
        free(s);
        return r;
    }
    s->own_fd = own ? fd : -1;
    pthread_mutex_init(&s->lock, NULL);
    *ret = s;
    return 0;
}

void stream_writer_free(struct stream_writer *s)
{
    if (!s)
        return;
    sink_close(&s->sink);
    cleanup_close(&s->own_fd);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* The head stands before the first section: until there's one, nothing was written. */
static int write_head(struct stream_writer *s, struct crs_error *err)
{
    uint8_t head[STREAM_BLOCK];

    stream_write_head(head);
    return sink_write(&s->sink, &(struct iovec){head, sizeof(head)}, 1, err);
}

/* A section of what is in `a`, and behind that in `b`. */
static int put_section(struct stream_writer *s, const char *name, uint64_t offset, struct iovec a,
                       struct iovec b, struct crs_error *err)
{
    static const uint8_t zeros[STREAM_BLOCK];
    struct stream_section section = {.offset = offset, .size_bytes = a.iov_len + b.iov_len};
    uint8_t header[STREAM_BLOCK];
    int r = 0;

    strncpy(section.name, name, sizeof(section.name) - 1);
    stream_write_header(&section, header);
    struct iovec iov[] = {
        {header, sizeof(header)},
        a,
        b,
        {(void *)zeros, stream_padded(section.size_bytes) - section.size_bytes},
    };
    pthread_mutex_lock(&s->lock);
    if (s->sink.position == 0)
        r = write_head(s, err);
    if (r == 0)
        r = sink_write(&s->sink, iov, 4, err);
    pthread_mutex_unlock(&s->lock);
    return r;
}

int stream_put_file(struct stream_writer *s, const char *name, const void *data, size_t size,
                    struct crs_error *err)
{
    return put_section(s, name, 0, (struct iovec){(void *)data, size}, (struct iovec){0}, err);
}

static int put(struct stream_writer *s, const void *data, size_t size, struct crs_error *err)
{
    return sink_write(&s->sink, &(struct iovec){(void *)data, size}, 1, err);
}

int stream_begin_file(struct stream_writer *s, const char *name, uint64_t size_bytes,
                      struct crs_error *err)
{
    struct stream_section section = {.size_bytes = size_bytes};
    uint8_t header[STREAM_BLOCK];
    int r = s->sink.position == 0 ? write_head(s, err) : 0;

    strncpy(section.name, name, sizeof(section.name) - 1);
    stream_write_header(&section, header);
    return r < 0 ? r : put(s, header, sizeof(header), err);
}

int stream_put_part(struct stream_writer *s, const void *data, size_t size, struct crs_error *err)
{
    return put(s, data, size, err);
}

int stream_end_file(struct stream_writer *s, uint64_t size_bytes, struct crs_error *err)
{
    static const uint8_t zeros[STREAM_BLOCK];

    return put(s, zeros, stream_padded(size_bytes) - size_bytes, err);
}

int stream_put_piece(struct stream_writer *s, struct stream_piece *piece, const char *name,
                     struct crs_error *err)
{
    struct iovec a = {piece->data, piece->size};

    piece->size = 0;
    return a.iov_len ? put_section(s, name, piece->offset, a, (struct iovec){0}, err) : 0;
}

int stream_put_chunk(struct stream_writer *s, struct stream_piece *piece, const char *name,
                     const void *data, size_t size, uint64_t offset, struct crs_error *err)
{
    if (piece->size == 0)
        piece->offset = offset;
    uint64_t at = offset - piece->offset;
    if (!piece->data && at + size < PIECE_SIZE)
        piece->data = malloc(PIECE_SIZE + STREAM_BLOCK);
    if (!piece->data && at + size < PIECE_SIZE)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (at > piece->size)
        memset(piece->data + piece->size, 0, at - piece->size);
    if (at + size < PIECE_SIZE) {
        memcpy(piece->data + at, data, size);
        piece->size = at + size;
        return 0;
    }
    struct iovec before = {piece->data, at}, chunk = {(void *)data, size};
    piece->size = 0;
    return put_section(s, name, piece->offset, before, chunk, err);
}

int stream_writer_finish(struct stream_writer *s, struct crs_error *err)
{
    return sink_finish(&s->sink, err);
}

uint64_t stream_writer_size(struct stream_writer *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t size = s->sink.position;
    pthread_mutex_unlock(&s->lock);
    return size;
}
