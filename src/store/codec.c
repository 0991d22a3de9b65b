/* codec.c - compression of chunks */
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "codec.h"
#include "store/store.h"

#define LEVEL_MIN (-7)
#define LEVEL_MAX 19

/* A chunk must shrink to this share of itself, or it is stored as it is: a restart then reads it
 * straight into memory. */
#define GAIN_PERCENT 95

/* Pages of a chunk that are tried before all of it is, where that is large. */
#define SAMPLES       8
#define SAMPLE_STRIDE 37 /* what repeats in a program's memory has another one */
#define SAMPLED_LEAST (64 * STORE_PAGE_SIZE)

_Static_assert(CODEC_BUFFER_SIZE >= STORE_CHUNK_SIZE + SEAL_BYTES, "a chunk and its seal");

static const struct codec default_codec = {.automatic = true};

int codec_parse(const char *text, struct codec *ret, struct crs_error *err)
{
    static const struct codec none = {.kind = CRS__CODEC__CODEC_NONE},
                              lz4 = {.kind = CRS__CODEC__CODEC_LZ4},
                              zstd = {.kind = CRS__CODEC__CODEC_ZSTD, .level = 1};

    if (!text || strcmp(text, "auto") == 0) {
        *ret = default_codec;
    } else if (strcmp(text, "none") == 0) {
        *ret = none;
    } else if (strcmp(text, "lz4") == 0) {
        *ret = lz4;
    } else if (strcmp(text, "zstd") == 0) {
        *ret = zstd;
    } else if (strncmp(text, "zstd:", 5) == 0) {
        char *end;
        long level = strtol(text + 5, &end, 10);
        if (!strchr("-123456789", text[5]) || text[5] == 0 || *end || level < LEVEL_MIN ||
            level > LEVEL_MAX || level == 0)
            return crs_fail(err, CRS_USAGE, EINVAL,
                            "compression %s: the level is a number from %d to %d other than 0",
                            text, LEVEL_MIN, LEVEL_MAX);
        *ret = (struct codec){.kind = CRS__CODEC__CODEC_ZSTD, .level = level};
    } else {
        return crs_fail(err, CRS_USAGE, EINVAL,
                        "unknown compression '%s'; there are auto, none, lz4, zstd and zstd:LEVEL",
                        text);
    }
    return 0;
}

const char *codec_name(Crs__Codec kind)
{
    switch (kind) {
    case CRS__CODEC__CODEC_NONE:
        return "none";
    case CRS__CODEC__CODEC_LZ4:
        return "lz4";
    case CRS__CODEC__CODEC_ZSTD:
        return "zstd";
    default:
        return NULL;
    }
}

void codec_context_clear(struct codec_context *context)
{
    free(context->lz4);
    ZSTD_freeCCtx(context->zstd_compress);
    ZSTD_freeDCtx(context->zstd_decompress);
    free(context->buffer);
    *context = (struct codec_context){0};
}

uint8_t *codec_buffer(struct codec_context *context)
{
    if (!context->buffer)
        context->buffer = aligned_alloc(STORE_PAGE_SIZE, CODEC_BUFFER_SIZE);
    return context->buffer;
}

uint64_t codec_context_bytes(const struct codec_context *context)
{
    uint64_t bytes = 0;

    if (context->buffer)
        bytes += CODEC_BUFFER_SIZE;
    if (context->lz4)
        bytes += LZ4_sizeofState();
    if (context->zstd_compress)
        bytes += ZSTD_sizeof_CCtx(context->zstd_compress);
    if (context->zstd_decompress)
        bytes += ZSTD_sizeof_DCtx(context->zstd_decompress);
    return bytes;
}

/* The size in the context's buffer; 0: stays larger than `room`; -ENOMEM. */
static int compress_lz4(struct codec_context *context, const void *raw, size_t size, size_t room)
{
    if (!context->lz4)
        context->lz4 = malloc(LZ4_sizeofState());
    if (!context->lz4)
        return -ENOMEM;
    return LZ4_compress_fast_extState(context->lz4, raw, (char *)context->buffer, size, room, 1);
}

static int compress_zstd(struct codec_context *context, int level, const void *raw, size_t size,
                         size_t room)
{
    if (!context->zstd_compress)
        context->zstd_compress = ZSTD_createCCtx();
    if (!context->zstd_compress)
        return -ENOMEM;
    size_t n = ZSTD_compressCCtx(context->zstd_compress, context->buffer, room, raw, size, level);
    return ZSTD_isError(n) ? 0 : n; /* no room, mostly */
}

/* 1: some pages of it, here and there, didn't shrink, and all of it won't. */
static int is_incompressible(struct codec_context *context, const uint8_t *raw, size_t size)
{
    const size_t n_pages = size / STORE_PAGE_SIZE;
    int n = 0;

    for (size_t i = 0; n == 0 && i < SAMPLES; i++) {
        size_t page = (i + 1) * SAMPLE_STRIDE % n_pages;
        n = compress_lz4(context, raw + page * STORE_PAGE_SIZE, STORE_PAGE_SIZE,
                         STORE_PAGE_SIZE * GAIN_PERCENT / 100);
    }
    return n < 0 ? n : n == 0;
}

static int compress(const struct codec *codec, struct codec_context *context, const void *raw,
                    size_t size)
{
    size_t room = size * GAIN_PERCENT / 100;
    int r = 0;

    if (codec->kind == CRS__CODEC__CODEC_NONE)
        return 0;
    if (!codec_buffer(context))
        return -ENOMEM;
    if (size >= SAMPLED_LEAST)
        r = is_incompressible(context, raw, size);
    if (r != 0)
        return r < 0 ? r : 0;
    return codec->kind == CRS__CODEC__CODEC_LZ4
               ? compress_lz4(context, raw, size, room)
               : compress_zstd(context, codec->level, raw, size, room);
}

int codec_compress(const struct codec *codec, struct codec_context *context, const void *raw,
                   size_t size, const void **ret_data, size_t *ret_size, Crs__Codec *ret_kind)
{
    int n = compress(codec, context, raw, size);

    if (n < 0)
        return n;
    *ret_data = n > 0 ? context->buffer : raw;
    *ret_size = n > 0 ? (size_t)n : size;
    *ret_kind = n > 0 ? codec->kind : CRS__CODEC__CODEC_NONE;
    return 0;
}

static int decompress_zstd(struct codec_context *context, const void *stored, size_t stored_size,
                           void *raw, size_t raw_size)
{
    if (!context->zstd_decompress)
        context->zstd_decompress = ZSTD_createDCtx();
    if (!context->zstd_decompress)
        return -ENOMEM;
    size_t n = ZSTD_decompressDCtx(context->zstd_decompress, raw, raw_size, stored, stored_size);
    return !ZSTD_isError(n) && n == raw_size ? 0 : -EBADMSG;
}

int codec_decompress(Crs__Codec kind, struct codec_context *context, const void *stored,
                     size_t stored_size, void *raw, size_t raw_size)
{
    switch (kind) {
    case CRS__CODEC__CODEC_NONE:
        if (stored_size != raw_size)
            return -EBADMSG;
        memcpy(raw, stored, raw_size);
        return 0;
    case CRS__CODEC__CODEC_LZ4:
        return LZ4_decompress_safe(stored, raw, stored_size, raw_size) == (int)raw_size ? 0
                                                                                        : -EBADMSG;
    case CRS__CODEC__CODEC_ZSTD:
        return decompress_zstd(context, stored, stored_size, raw, raw_size);
    default:
        return -EBADMSG;
    }
}
