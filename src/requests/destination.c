/* destination.c - where a context goes */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "requests/request.h"

/* ---- what the descriptor is ---- */

static int check_regular(struct request *q, const struct stat *st)
{
    if (st->st_nlink == 0)
        return request_fail(q, EINVAL, "the file that the context should go to has no name");
    if (st->st_nlink > 1)
        return request_fail(q, EMLINK,
                            "the file that the context should go to has %lu names: a context "
                            "replaces what all of them lead to",
                            (unsigned long)st->st_nlink);
    return 0;
}

static int check_writable(struct request *q, int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || flags & O_PATH)
        return request_fail(q, EBADF, "descriptor %d isn't open for writing", fd);
    return 0;
}

/* Before anybody has run callbacks for it. */
static int check_other_end(struct request *q, int fd)
{
    struct pollfd end = {.fd = fd, .events = POLLOUT};

    if (poll(&end, 1, 0) == 1 && end.revents & (POLLERR | POLLHUP))
        return request_fail(q, EPIPE, "the other end of descriptor %d is closed", fd);
    return 0;
}

/* "context.PID" in the directory; nothing that is there is replaced. */
static int make_in_directory(struct request *q, int fd)
{
    snprintf(q->file_name, sizeof(q->file_name), "context.%d", q->target);
    q->own_fd = openat(fd, q->file_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    if (q->own_fd < 0)
        return request_fail(q, errno, "can't make %s: %s", q->file_name, strerror(errno));
    q->directory_fd = fd;
    q->stream_fd = q->own_fd;
    return 0;
}

static int use_descriptor(struct request *q, int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return request_fail(q, errno, "descriptor %d can't be written to: %s", fd, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return make_in_directory(q, fd);
    if (S_ISBLK(st.st_mode))
        return request_fail(q, EINVAL, "a context can't be written to a block device");
    int r = check_writable(q, fd);
    if (r == 0)
        r = check_other_end(q, fd);
    if (r == 0 && S_ISREG(st.st_mode))
        r = check_regular(q, &st);
    if (r < 0)
        return r;
    q->stream_fd = fd;
    if (fd == 0) { /* 0 says that there's none */
        q->own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (q->own_fd < 0)
            return request_fail(q, errno, "can't duplicate a descriptor: %s", strerror(errno));
        q->stream_fd = q->own_fd;
    }
    return 0;
}

/* ---- how callbacks see it ---- */

static void name_descriptor(struct request *q, int fd)
{
    _cleanup_free_ char *target = NULL;
    char path[40];
    struct stat st, there;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (read_link(AT_FDCWD, path, &target) < 0 || target[0] != '/' || fstat(fd, &st) < 0 ||
        stat(target, &there) < 0 || st.st_ino != there.st_ino || st.st_dev != there.st_dev)
        return;
    size_t n = strlen(target);
    if (n + 3 > sizeof(q->destination))
        return;
    memcpy(q->destination, target, n + 1);
    if (S_ISDIR(st.st_mode))
        memcpy(q->destination + n, "/.", 3);
}

int destination_open(struct request *q)
{
    const struct requests_checkpoint_options *o = q->options;

    if (o->fd < 0 && !o->output)
        return request_fail(q, EBADF, "there is no descriptor that the context should go to");
    int r = o->fd < 0 ? 0 : use_descriptor(q, o->fd);
    if (r < 0)
        return r;
    const char *path = o->destination ? o->destination : o->fd < 0 ? o->output : NULL;
    if (!path)
        name_descriptor(q, o->fd);
    else if (strlen(path) < sizeof(q->destination))
        memcpy(q->destination, path, strlen(path) + 1);
    return 0;
}

void destination_close(struct request *q, bool published)
{
    if (!published && q->directory_fd >= 0)
        unlinkat(q->directory_fd, q->file_name, 0);
    cleanup_close(&q->own_fd);
    q->own_fd = -1;
}
