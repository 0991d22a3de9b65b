/*
 * stream_writer.h - a stream being written: sections, one behind the other
 *
 * Threads: stream_put_chunk() from several at once, each with a piece of its own. A piece gathers
 * small chunks, so that few sections are needed; a large one goes out with them, not copied.
 */
#ifndef STORE_STREAM_WRITER_H
#define STORE_STREAM_WRITER_H

#include "base/error.h"

struct store_patience;
struct stream_writer;

/* What is to be the next section of a pack. */
struct stream_piece {
    uint8_t *data;
    uint64_t offset; /* in the pack; a multiple of 4096 */
    size_t size;
};

/* own: fd is closed with it, on success. */
int stream_writer_open(int fd, bool own, const struct store_patience *patience,
                       struct stream_writer **ret, struct crs_error *err);
void stream_writer_free(struct stream_writer *s);

/* A whole file of the snapshot, as one section. */
int stream_put_file(struct stream_writer *s, const char *name, const void *data, size_t size,
                    struct crs_error *err);

/* The same in parts: the length is known before. Nothing else is put meanwhile. */
int stream_begin_file(struct stream_writer *s, const char *name, uint64_t size_bytes,
                      struct crs_error *err);
int stream_put_part(struct stream_writer *s, const void *data, size_t size, struct crs_error *err);
int stream_end_file(struct stream_writer *s, uint64_t size_bytes, struct crs_error *err);

/* A chunk at `offset` of the pack `name`, fewer than 4096 bytes behind the piece's end; where the
 * piece is empty, a multiple of 4096. */
int stream_put_chunk(struct stream_writer *s, struct stream_piece *piece, const char *name,
                     const void *data, size_t size, uint64_t offset, struct crs_error *err);

/* What is in the piece, if anything is. */
int stream_put_piece(struct stream_writer *s, struct stream_piece *piece, const char *name,
                     struct crs_error *err);

/* All was put: wait until it is safe. */
int stream_writer_finish(struct stream_writer *s, struct crs_error *err);

uint64_t stream_writer_size(struct stream_writer *s); /* bytes so far */

#endif
