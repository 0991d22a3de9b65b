/* spool.c - what comes from a pipe or a socket, kept where it can be read again */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "store/spool.h"

#define BUFFER_SIZE (1u << 20)

/* Some file systems have no O_TMPFILE: a file that loses its name at once. */
static int open_nameless(const char *directory)
{
    _cleanup_free_ char *path = NULL;

    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    path = format_string("%s/crs-XXXXXX", directory);
    fd = path ? mkostemp(path, O_CLOEXEC) : -1;
    if (fd >= 0)
        unlink(path);
    return fd;
}

static int open_anywhere(struct crs_error *err)
{
    const char *places[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
    int fd = -1;

    for (size_t i = 0; fd < 0 && i < sizeof(places) / sizeof(places[0]); i++)
        if (places[i] && *places[i])
            fd = open_nameless(places[i]);
    if (fd < 0)
        fd = memfd_create("crs-stream", MFD_CLOEXEC);
    return fd >= 0 ? fd : crs_fail_errno(err, CRS_STORAGE, "can't make a temporary file");
}

int spool_open(int from_fd, struct spool *ret, int *ret_fd, struct crs_error *err)
{
    struct spool s = {.from_fd = from_fd, .to_fd = open_anywhere(err), .limit = max_file_size()};

    if (s.to_fd < 0)
        return s.to_fd;
    s.buffer = malloc(BUFFER_SIZE);
    if (!s.buffer) {
        cleanup_close(&s.to_fd);
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    *ret = s;
    *ret_fd = s.to_fd;
    return 0;
}

void spool_close(struct spool *s)
{
    free(s->buffer);
    s->buffer = NULL;
}

/* A description that others made non-blocking must not be waited for by turning in circles. */
static ssize_t read_some(struct spool *s, size_t size)
{
    for (;;) {
        struct pollfd data = {.fd = s->from_fd, .events = POLLIN};
        ssize_t n = read(s->from_fd, s->buffer, size);
        if (n >= 0 || (errno != EINTR && errno != EAGAIN))
            return n;
        if (errno == EAGAIN)
            poll(&data, 1, -1);
    }
}

int spool_until(struct spool *s, uint64_t size_bytes, struct crs_error *err)
{
    if (size_bytes > s->limit)
        return crs_fail(err, CRS_STORAGE, EFBIG,
                        "the copy of the stream would be larger than the limit of this process for "
                        "files (ulimit -f), %llu bytes",
                        (unsigned long long)s->limit);
    while (s->size_bytes < size_bytes) {
        uint64_t missing = size_bytes - s->size_bytes;
        ssize_t n = read_some(s, missing < BUFFER_SIZE ? missing : BUFFER_SIZE);
        if (n < 0)
            return crs_fail_errno(err, CRS_FAILED, "can't read the stream");
        if (n == 0)
            return -ENODATA;
        int r = pwrite_full(s->to_fd, s->buffer, n, s->size_bytes);
        if (r < 0) {
            errno = -r;
            return crs_fail_errno(err, CRS_STORAGE,
                                  "can't keep a copy of the stream (TMPDIR "
                                  "says where)");
        }
        s->size_bytes += n;
    }
    return 0;
}
