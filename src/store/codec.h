/*
 * codec.h - compression of chunks
 *
 * A context belongs to one call at a time; it keeps the state of the libraries and a buffer for
 * the stored form of one chunk.
 */
#ifndef STORE_CODEC_H
#define STORE_CODEC_H

#include <stdbool.h>

#include "base/error.h"
#include "content.pb-c.h"
#include "store/seal.h"

struct codec {
    Crs__Codec kind;
    int level;      /* zstd's; negative levels are faster */
    bool automatic; /* adapt.h chooses, chunk by chunk */
};

#define CODEC_KINDS                                                                                \
    3 /* values of Crs__Codec that compress or don't; as many more are sealed, too */

static inline bool codec_is_sealed(Crs__Codec codec)
{
    return codec >= CODEC_KINDS;
}

/* Without the seal. */
static inline Crs__Codec codec_inner(Crs__Codec codec)
{
    return codec_is_sealed(codec) ? (Crs__Codec)(codec - CODEC_KINDS) : codec;
}

static inline Crs__Codec codec_sealed(Crs__Codec codec)
{
    return (Crs__Codec)(codec + CODEC_KINDS);
}

/* The most that a chunk is stored in. */
static inline uint64_t codec_room(Crs__Codec codec, uint64_t raw_bytes)
{
    return raw_bytes + (codec_is_sealed(codec) ? SEAL_BYTES : 0);
}

#define CODEC_BUFFER_SIZE (257u * 4096) /* a chunk and its seal */

struct codec_context {
    void *lz4;
    void *zstd_compress;
    void *zstd_decompress;
    uint8_t *buffer; /* CODEC_BUFFER_SIZE bytes, aligned to a page; codec_buffer() makes it */
};

/* "auto", "none", "lz4", "zstd", "zstd:LEVEL" with LEVEL -7 to 19 without 0; NULL: auto. */
int codec_parse(const char *text, struct codec *ret, struct crs_error *err);
const char *codec_name(Crs__Codec kind);

void codec_context_clear(struct codec_context *context);

/* The buffer of the context; NULL: no memory. */
uint8_t *codec_buffer(struct codec_context *context);

/* What the context takes in memory. */
uint64_t codec_context_bytes(const struct codec_context *context);

/*
 * The form in which `raw` is to be stored: *ret_data points into raw (CODEC_NONE, when nothing
 * is gained) or into the context's buffer. Where a few of its pages don't shrink, no time is spent
 * on the rest. 0 or -ENOMEM.
 */
int codec_compress(const struct codec *codec, struct codec_context *context, const void *raw,
                   size_t size, const void **ret_data, size_t *ret_size, Crs__Codec *ret_kind);

/* Exactly raw_size bytes must come out. 0, -ENOMEM, -EBADMSG. */
int codec_decompress(Crs__Codec kind, struct codec_context *context, const void *stored,
                     size_t stored_size, void *raw, size_t raw_size);

#endif
