/*
 * sink.h - a descriptor that a stream is written to
 *
 * A pipe, a socket, a regular file or a device; whoever reads at the other end may be slow, or go
 * away. No write waits longer than the deadline, or than until it is cancelled. After a failure
 * every further write fails with the same words: half of a stream is nothing to go on with.
 *
 * Threads: one at a time; the caller locks.
 */
#ifndef STORE_SINK_H
#define STORE_SINK_H

#include <sys/uio.h>

#include "base/error.h"
#include "store/store.h"

enum sink_sort { SINK_FILE, SINK_PIPE, SINK_SOCKET, SINK_DEVICE };

struct sink {
    enum sink_sort sort;
    int fd;     /* the caller's, or own_fd */
    int own_fd; /* a description of our own that doesn't block; -1: there's none */
    struct store_patience patience;
    uint64_t position;           /* bytes that were written */
    uint64_t base, written_back; /* of a file: where it began; up to where the disk was told */
    uint64_t file_limit;         /* RLIMIT_FSIZE */
    struct crs_error failed;     /* kind CRS_OK: none */
};

/* `fd` stays the caller's. CRS_USAGE: nothing that a stream can be written to. */
int sink_open(int fd, const struct store_patience *patience, struct sink *ret,
              struct crs_error *err);
void sink_close(struct sink *sink);

/* Write all of it. Changes iov. */
int sink_write(struct sink *sink, struct iovec *iov, int n, struct crs_error *err);

/* Wait until all is where it is safe: a file on its disk; what a pipe or a socket holds, taken by
 * the other end. */
int sink_finish(struct sink *sink, struct crs_error *err);

#endif
