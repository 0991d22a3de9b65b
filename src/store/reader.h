/*
 * reader.h - inside of a snapshot opened for reading
 */
#ifndef STORE_READER_H
#define STORE_READER_H

#include <pthread.h>

#include "store/codec.h"
#include "store/manifest.h"
#include "store/store.h"
#include "store/stream_reader.h"

/* A codec's state, used by one call at a time. */
struct reader_context {
    struct codec_context codec;
    struct reader_context *next;
};

struct reader_pack {
    uint32_t number;
    uint64_t size_bytes;
    int fd;                              /* -1: not opened yet, or in the stream */
    const struct stream_file *in_stream; /* NULL: a file of its own */
};

struct store_reader {
    char *path;
    int fd; /* the directory; -1: a stream */
    struct stream stream;
    struct manifest manifest;
    pthread_mutex_t lock; /* guards the rest */
    struct reader_context *idle;
    ARRAY_OF(struct reader_pack) packs;
};

/* Open a file of the snapshot: a regular one of that length, never a link to elsewhere. */
int reader_open_file(struct store_reader *r, const char *name, uint64_t size_bytes, int *ret_fd,
                     struct crs_error *err);

const struct manifest_file *reader_find_file(const struct store_reader *r, const char *name);

/* The checksum of a record's bytes. */
int reader_check_record(struct store_reader *r, const struct manifest_file *file,
                        struct crs_error *err);

/* The length of a pack; 0: there's none of that number. A pack_size_fn. */
uint64_t reader_pack_size(void *reader, uint32_t number);

struct reader_context *reader_context_take(struct store_reader *r);
void reader_context_give(struct store_reader *r, struct reader_context *context);
void reader_free_contexts(struct store_reader *r);

/* Where bytes of a pack are to be read. */
int reader_place(struct store_reader *r, uint32_t pack, uint64_t offset, uint64_t size_bytes,
                 int *ret_fd, uint64_t *ret_position, struct crs_error *err);

/* Stored bytes of a pack into data, checked against the checksum. */
int reader_read_stored(struct store_reader *r, uint32_t pack, uint64_t offset,
                       uint32_t stored_bytes, const uint8_t *checksum, void *data,
                       struct crs_error *err);

#endif
