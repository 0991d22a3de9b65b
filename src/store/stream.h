/*
 * stream.h - the stream form of a snapshot: one sequence of bytes
 *
 * A head, then sections. Each begins at a multiple of STREAM_BLOCK with a block for its header; its
 * data follow, then zeros up to the next multiple. A section holds a record, or a piece of a pack;
 * the manifest is the last. docs/format.md specifies it.
 */
#ifndef STORE_STREAM_H
#define STORE_STREAM_H

#include "base/error.h"
#include "store/checksum.h"
#include "store/layout.h"

#define STREAM_VERSION    1
#define STREAM_BLOCK      4096u
#define STREAM_MAGIC      "OpenCRS stream\r\n"
#define STREAM_MAGIC_SIZE 16u

struct stream_section {
    char name[LIMIT_FILE_NAME + 1];
    uint64_t offset;     /* of the data in the file */
    uint64_t size_bytes; /* of the data */
};

/* Bytes with the zeros behind them. */
static inline uint64_t stream_padded(uint64_t size_bytes)
{
    return (size_bytes + STREAM_BLOCK - 1) & ~(uint64_t)(STREAM_BLOCK - 1);
}

/* Is that how a stream begins, of whatever version? */
bool stream_is_head(const void *data, size_t size);

void stream_write_head(uint8_t ret[STREAM_BLOCK]);
int stream_check_head(const uint8_t block[STREAM_BLOCK], struct crs_error *err);

void stream_write_header(const struct stream_section *section, uint8_t ret[STREAM_BLOCK]);

/* The header by itself: whether the section may stand there is for who reads the stream.
 * CRS_DAMAGED; CRS_CANT_RESTART for what a newer version wrote. */
int stream_parse_header(const uint8_t block[STREAM_BLOCK], struct stream_section *ret,
                        struct crs_error *err);

#endif
