/* io.c - files read and written whole */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"

#define RECORDS_PIECE 3072 /* and one record of up to 1024 bytes more fit into a page */

int read_full(int fd, void *data, size_t size)
{
    for (uint8_t *p = data; size > 0;) {
        ssize_t n = read(fd, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -ENODATA;
        p += n;
        size -= n;
    }
    return 0;
}

int pread_full(int fd, void *data, size_t size, off_t offset)
{
    for (uint8_t *p = data; size > 0;) {
        ssize_t n = pread(fd, p, size, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -ENODATA;
        p += n;
        size -= n;
        offset += n;
    }
    return 0;
}

int write_full(int fd, const void *data, size_t size)
{
    for (const uint8_t *p = data; size > 0;) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        size -= n;
    }
    return 0;
}

int pwrite_full(int fd, const void *data, size_t size, off_t offset)
{
    for (const uint8_t *p = data; size > 0;) {
        ssize_t n = pwrite(fd, p, size, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        size -= n;
        offset += n;
    }
    return 0;
}

uint64_t max_file_size(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return INT64_MAX;
    return limit.rlim_cur;
}

#define SMALL_FILE 16384 /* most are, or of /proc, whose sizes aren't told */

static size_t next_room(int fd, size_t room, size_t limit)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || (size_t)st.st_size < room)
        return room * 2;
    return (size_t)st.st_size < limit ? (size_t)st.st_size + 2 : limit + 2;
}

/* Memory of b.size + 1 bytes, for what was read on the stack. */
static int keep_small(const uint8_t *data, struct bytes *b)
{
    b->data = malloc(b->size + 1);
    if (!b->data)
        return -ENOMEM;
    memcpy(b->data, data, b->size);
    return 0;
}

static int make_room(int fd, size_t limit, const uint8_t *small, size_t *room, struct bytes *b)
{
    *room = next_room(fd, *room, limit);
    uint8_t *p = realloc(b->data, *room);
    if (!p)
        return -ENOMEM;
    if (!b->data)
        memcpy(p, small, b->size);
    b->data = p;
    return 0;
}

/* piece: the most that one read(2) asks for. one_record: a short read(2) is the last. */
static int read_whole(int dirfd, const char *path, size_t limit, size_t piece, bool one_record,
                      struct bytes *ret)
{
    _cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    _cleanup_bytes_ struct bytes b = {0};
    size_t room = SMALL_FILE;
    uint8_t small[SMALL_FILE];
    int r = 0;

    if (fd < 0)
        return -errno;
    for (;;) {
        if (b.size + 1 >= room)
            r = make_room(fd, limit, small, &room, &b);
        if (r < 0)
            return r;
        size_t want = room - b.size - 1;
        ssize_t n = read(fd, (b.data ? b.data : small) + b.size, want < piece ? want : piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        b.size += n;
        if (b.size > limit)
            return -EFBIG;
        if (n == 0 || (one_record && (size_t)n < want))
            break;
    }
    if (!b.data)
        r = keep_small(small, &b);
    if (r < 0)
        return r;
    b.data[b.size] = 0;
    bytes_clear(ret);
    *ret = b;
    b = (struct bytes){0};
    return 0;
}

int read_file(int dirfd, const char *path, size_t limit, struct bytes *ret)
{
    return read_whole(dirfd, path, limit, SIZE_MAX, false, ret);
}

int read_record(int dirfd, const char *path, size_t limit, struct bytes *ret)
{
    return read_whole(dirfd, path, limit, SIZE_MAX, true, ret);
}

/* The kernel fills a page with records, and one that doesn't fit any more it makes anew for the
 * next read. When it has as much as was asked for it begins no other one. */
int read_costly_records(int dirfd, const char *path, size_t limit, struct bytes *ret)
{
    return read_whole(dirfd, path, limit, RECORDS_PIECE, false, ret);
}

int read_link(int dirfd, const char *path, char **ret)
{
    char text[8192];
    ssize_t n = readlinkat(dirfd, path, text, sizeof(text) - 1);

    if (n < 0)
        return -errno;
    text[n] = 0;
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    *ret = copy;
    return 0;
}

char *format_string(const char *format, ...)
{
    char *text = NULL;
    va_list ap;

    va_start(ap, format);
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    return n < 0 ? NULL : text;
}

uint64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
