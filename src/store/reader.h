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
    uint64_t shared_bytes;      /* of packs that have other names, too */
    const struct seal_key *key; /* NULL: the one in use */
    struct seal *seal;          /* NULL: not encrypted, or not asked for yet */
    pthread_mutex_t lock;       /* guards the rest */
    struct reader_context *idle;
    ARRAY_OF(struct reader_pack) packs;
};

/* Open a file of the snapshot: a regular one of that length, never a link to elsewhere. */
int reader_open_file(struct store_reader *r, const char *name, uint64_t size_bytes, int *ret_fd,
                     struct crs_error *err);

const struct manifest_file *reader_find_file(const struct store_reader *r, const char *name);

/* A record's bytes as they are stored, with the right checksum. Allocated. */
int reader_load_record(struct store_reader *r, const struct manifest_file *file, uint8_t **ret,
                       struct crs_error *err);

/* Who gets every byte of every file, in order, as they are verified. */
struct verify_taker {
    int (*begin)(void *arg, const struct manifest_file *file, struct crs_error *err);
    int (*take)(void *arg, const void *data, size_t size, struct crs_error *err);
    int (*end)(void *arg, struct crs_error *err);
    void *arg;
};
/* store_verify(), with a taker (NULL: none) and another word for the phase. */
int reader_verify(struct store_reader *r, const struct verify_taker *taker, const char *phase,
                  crs_progress_fn progress, void *arg, struct crs_error *err);

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
