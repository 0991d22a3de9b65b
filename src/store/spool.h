/*
 * spool.h - what comes from a pipe or a socket, kept where it can be read again
 */
#ifndef STORE_SPOOL_H
#define STORE_SPOOL_H

#include "base/error.h"

struct spool {
    int from_fd, to_fd;
    uint8_t *buffer;
    uint64_t size_bytes; /* so far */
    uint64_t limit;
};

/* In $TMPDIR, else /var/tmp, else /tmp, else in memory; nobody else can get at it. The descriptors
 * stay the caller's; *ret_fd: the copy. */
int spool_open(int from_fd, struct spool *ret, int *ret_fd, struct crs_error *err);
void spool_close(struct spool *s);

/* Copy until there are `size_bytes`. -ENODATA without words: the source ends before. */
int spool_until(struct spool *s, uint64_t size_bytes, struct crs_error *err);

#endif
