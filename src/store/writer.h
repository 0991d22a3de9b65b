/*
 * writer.h - inside of a snapshot being written
 */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include <pthread.h>

#include "store/checksum.h"
#include "store/adapt.h"
#include "store/base.h"
#include "store/codec.h"
#include "store/flusher.h"
#include "store/index.h"
#include "store/limiter.h"
#include "store/seal.h"
#include "store/store.h"
#include "store/stream_writer.h"
#include "store/temporary.h"

/* As many threads may put chunks at the same instant; more wait. */
#define WRITER_PACKS 64u

struct pack_entry {
    uint64_t offset;
    uint32_t stored_bytes, raw_bytes;
    uint8_t checksum[CHECKSUM_SIZE], raw_checksum[CHECKSUM_SIZE];
    uint8_t codec;
};

/* What was stored with a codec. */
struct codec_use {
    uint64_t raw_bytes, stored_bytes;
};

/* A pack belongs to one store_put_chunk() at a time, so that nothing in it needs a lock, and
 * threads don't queue at the inode. */
struct pack {
    uint32_t number;
    int fd; /* -1: it goes into a stream */
    struct stream_piece piece;
    uint64_t end;
    uint64_t written_back; /* from here on nothing was told to go to the disk yet */
    uint64_t raw_bytes, stored_bytes;
    uint64_t unnoted_bytes; /* of chunks that aren't in the index */
    struct codec_use use[CODEC_KINDS];
    struct codec_context context;
    ARRAY_OF(struct pack_entry) entries;
    bool busy;
};

struct writer_file {
    char name[LIMIT_FILE_NAME + 1];
    uint64_t size_bytes;
    uint8_t checksum[CHECKSUM_SIZE];
    bool has_checksum; /* packs have one for each chunk instead */
};

struct store_writer {
    char *path;        /* where it is to appear */
    const char *final; /* its last part */
    struct temporary temporary;
    struct stream_writer *stream; /* NULL: a directory */
    struct codec codec;
    struct seal *seal;   /* NULL: it isn't encrypted */
    struct seal_key key; /* where it is */
    uint64_t file_limit; /* RLIMIT_FSIZE: met, it would kill us */
    struct limiter limiter;
    struct flusher flusher;
    unsigned foreign_codecs; /* bits: of chunks in packs that others have written */
    ARRAY_OF(struct writer_file) files;
    struct store_base *base; /* NULL: none */
    uint64_t linked_bytes;   /* of its packs, in this snapshot */
    pthread_mutex_t lock;    /* guards the rest */
    pthread_cond_t idle;
    struct adapt adapt;
    struct pack *packs[WRITER_PACKS];
    unsigned n_packs;
    struct chunk_index index;
    uint64_t found_bytes; /* before compression: of chunks that were there already */
};

/* Make a file of the snapshot: new, 0600. */
int writer_create_file(struct store_writer *w, const char *name, int *ret_fd,
                       struct crs_error *err);

/* Would a file of that size be allowed? */
int writer_check_size(struct store_writer *w, const char *name, uint64_t size_bytes,
                      struct crs_error *err);

/* Note a finished file for the manifest. */
int writer_add_file(struct store_writer *w, const char *name, uint64_t size_bytes,
                    const uint8_t *checksum, struct crs_error *err);

/* Write a whole file of the snapshot. Synced when it is published: nobody waits for a disk while
 * the program stands still. */
int writer_put_file(struct store_writer *w, const char *name, const void *data, size_t size,
                    struct crs_error *err);

/* A file in parts, whose length is known before; one at a time. */
struct writer_part {
    int fd; /* -1: into the stream */
    char name[LIMIT_FILE_NAME + 1];
    uint64_t size_bytes;
};
int writer_begin_file(struct store_writer *w, const char *name, uint64_t size_bytes,
                      struct writer_part *ret, struct crs_error *err);
int writer_put_part(struct store_writer *w, struct writer_part *part, const void *data, size_t size,
                    struct crs_error *err);
int writer_end_file(struct store_writer *w, struct writer_part *part, struct crs_error *err);

/* All files are there: write the manifest's text, and let the snapshot appear. */
int writer_publish(struct store_writer *w, const struct bytes *manifest, uint64_t *ret_size_bytes,
                   struct crs_error *err);

/* One chunk on its way into a pack. */
struct encoding {
    const void *data;
    size_t size; /* stored */
    Crs__Codec codec;
    bool adapts;
    uint64_t work_ns, began_ns;
};

/* encode.c: the form in which it is stored, and, when it has been written, what that took. */
int writer_encode(struct store_writer *w, struct pack *p, const void *raw, size_t size,
                  struct encoding *ret, struct crs_error *err);
void writer_encoded(struct store_writer *w, struct pack *p, size_t size,
                    const struct encoding *encoding);

/* {"none": {"memory_bytes": N, "stored_bytes": N}, ...} of what was put into packs */
json_t *writer_codecs(const struct store_writer *w);
/* Bits of the codecs that a reader must know. */
unsigned writer_codec_bits(const struct store_writer *w);

/* store_put_chunk(), of a chunk that all of will be needed, whatever message it is told in. */
int writer_put_chunk(struct store_writer *w, const void *raw, size_t size, Crs__Chunk *ret,
                     struct crs_error *err);

/* Note which chunks the message refers to, and how many pages of them it needs. */
void writer_note_live(struct store_writer *w, const ProtobufCMessage *message);

/* No chunk is put any more: write the record of what is in the packs. */
int writer_finish_packs(struct store_writer *w, struct crs_error *err);
void writer_free_packs(struct store_writer *w);

#endif
