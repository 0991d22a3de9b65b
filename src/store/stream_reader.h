/*
 * stream_reader.h - where the files of a snapshot stand in a stream
 *
 * A regular file is read in place. What can't be read twice (a pipe, a socket) is copied into a
 * nameless file first, as far as the stream goes and no further.
 */
#ifndef STORE_STREAM_READER_H
#define STORE_STREAM_READER_H

#include "base/array.h"
#include "store/stream.h"

/* Data of one section. */
struct stream_extent {
    uint64_t offset, size_bytes; /* in the file of the snapshot */
    uint64_t position;           /* of fd */
};

struct stream_file {
    char name[LIMIT_FILE_NAME + 1];
    uint64_t size_bytes; /* so far */
    ARRAY_OF(struct stream_extent)
    extents; /* rising, each beginning where the last one's padding
                ends; of records one */
};

struct stream {
    int fd; /* -1: not a stream */
    ARRAY_OF(struct stream_file) files;
};
#define STREAM_NONE                                                                                \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/*
 * Find the sections of the stream that begins where fd stands; fd is taken over. *ret_manifest:
 * the manifest's text. CRS_DAMAGED: it is none, or it isn't whole. CRS_STORAGE: no room for a copy.
 */
int stream_open(int fd, struct stream *ret, struct bytes *ret_manifest, struct crs_error *err);
void stream_clear(struct stream *s);

const struct stream_file *stream_find(const struct stream *s, const char *name);

/* Where bytes of the file stand in fd: all of them are data of one section, or the zeros behind
 * that. -EBADMSG: nowhere. */
int stream_place(const struct stream_file *file, uint64_t offset, uint64_t size_bytes,
                 uint64_t *ret_position);

#endif
