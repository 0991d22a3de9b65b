/*
 * io.h - files read and written whole
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include "array.h"

/* Read or write all of `size` bytes, going on after short transfers and EINTR.
 * 0, -errno; a read that meets the end of file early is -ENODATA. */
int read_full(int fd, void *data, size_t size);
int pread_full(int fd, void *data, size_t size, off_t offset);
int write_full(int fd, const void *data, size_t size);
int pwrite_full(int fd, const void *data, size_t size, off_t offset);

/* Bytes that a file of this process may have (RLIMIT_FSIZE); INT64_MAX: any number. */
uint64_t max_file_size(void);

/* A whole file as bytes, with a 0 after the last (not counted). dirfd as of openat(2).
 * -EFBIG above `limit` bytes. For /proc, whose files have no size, too. */
int read_file(int dirfd, const char *path, size_t limit, struct bytes *ret);

/* The same of a file of /proc whose records take the kernel long (smaps: it looks at each page of a
 * mapping): none is made twice. */
int read_costly_records(int dirfd, const char *path, size_t limit, struct bytes *ret);

/* The same of a file of /proc that is one record (status, stat, syscall, ...): the kernel gives all
 * of it by one read(2), and isn't asked whether there is more. */
int read_record(int dirfd, const char *path, size_t limit, struct bytes *ret);

/* The target of a symbolic link, allocated. -errno on failure. */
int read_link(int dirfd, const char *path, char **ret);

/* printf into a new string; NULL when there's no memory. */
char *format_string(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t now_us(void);

#endif
