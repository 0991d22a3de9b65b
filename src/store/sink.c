/* sink.c - a descriptor that a stream is written to */
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/io.h"
#include "store/sink.h"

#define WAIT_MS         100 /* at most, before it is asked again whether there's time */
#define DRAIN_MS        5
#define WRITEBACK_BYTES (4u << 20)

/* ---- what it is ---- */

static int usage(struct crs_error *err, const char *what)
{
    return crs_fail(err, CRS_USAGE, EINVAL, "a stream can't be written to %s", what);
}

static int check_socket(int fd, struct crs_error *err)
{
    int type = 0;
    socklen_t size = sizeof(type);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM)
        return usage(err, "a socket that isn't of the stream type");
    return 0;
}

/* O_NONBLOCK belongs to the description, which others share: a pipe can be opened once more. */
static int open_again(int fd)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
}

int sink_open(int fd, const struct store_patience *patience, struct sink *ret,
              struct crs_error *err)
{
    struct sink s = {.sort = SINK_DEVICE, .fd = fd, .own_fd = -1, .file_limit = INT64_MAX};
    struct stat st;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fstat(fd, &st) < 0)
        return crs_fail_errno(err, CRS_USAGE, "a stream can't be written to descriptor %d", fd);
    if ((flags & O_ACCMODE) == O_RDONLY || flags & O_PATH)
        return usage(err, "a descriptor that isn't open for writing");
    if (S_ISCHR(st.st_mode) && isatty(fd))
        return usage(err, "a terminal: lead it into a file or a pipe");
    if (patience)
        s.patience = *patience;
    if (S_ISSOCK(st.st_mode)) {
        s.sort = SINK_SOCKET;
        int r = check_socket(fd, err);
        if (r < 0)
            return r;
    } else if (S_ISFIFO(st.st_mode)) {
        s.sort = SINK_PIPE;
        s.own_fd = open_again(fd);
        s.fd = s.own_fd >= 0 ? s.own_fd : fd;
    } else if (S_ISREG(st.st_mode)) {
        off_t at = lseek(fd, 0, flags & O_APPEND ? SEEK_END : SEEK_CUR);
        s.sort = SINK_FILE;
        s.base = s.written_back = at < 0 ? 0 : at;
        s.file_limit = max_file_size();
    }
    *ret = s;
    return 0;
}

void sink_close(struct sink *s)
{
    cleanup_close(&s->own_fd);
    s->own_fd = s->fd = -1;
}

/* ---- waiting ---- */

static int check_patience(const struct sink *s, struct crs_error *err)
{
    if (s->patience.cancel && *s->patience.cancel)
        return crs_fail(err, CRS_FAILED, ECANCELED, "the checkpoint was cancelled");
    if (s->patience.deadline_us && now_us() > s->patience.deadline_us)
        return crs_fail(err, CRS_TIMED_OUT, ETIMEDOUT,
                        "the time ran out while the other end of the stream was taking it: it is "
                        "too slow, or doesn't read");
    return 0;
}

static int failed(struct sink *s, int error, struct crs_error *err)
{
    const char *what = s->sort == SINK_FILE || s->sort == SINK_DEVICE ? "can't write the stream"
                       : error == EPIPE || error == ECONNRESET
                           ? "the other end of the stream is closed"
                           : "can't write the stream to the other end";

    return crs_fail(err, CRS_STORAGE, error, "%s: %s", what, strerror(error));
}

static int wait_for_room(struct sink *s, struct crs_error *err)
{
    struct pollfd room = {.fd = s->fd, .events = POLLOUT};
    int r = check_patience(s, err);

    if (r == 0)
        poll(&room, 1, WAIT_MS);
    return r;
}

/* ---- writing ---- */

/* A pipe that couldn't be opened again blocks; not for a page where poll(2) says there's room. */
static ssize_t write_page(struct sink *s, const struct iovec *iov)
{
    struct pollfd room = {.fd = s->fd, .events = POLLOUT};

    if (poll(&room, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(s->fd, iov->iov_base, iov->iov_len < PIPE_BUF ? iov->iov_len : PIPE_BUF);
}

static ssize_t write_some(struct sink *s, struct iovec *iov, int n)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = n};

    if (s->sort == SINK_SOCKET)
        return sendmsg(s->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (s->sort == SINK_PIPE && s->own_fd < 0)
        return write_page(s, iov);
    return writev(s->fd, iov, n);
}

static void skip(struct iovec **iov, int *n, size_t done)
{
    while (*n > 0 && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        ++*iov;
        --*n;
    }
    if (*n > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + done;
        (*iov)->iov_len -= done;
    }
}

static int write_all(struct sink *s, struct iovec *iov, int n, struct crs_error *err)
{
    int r = check_patience(s, err);

    for (skip(&iov, &n, 0); r == 0 && n > 0;) {
        ssize_t done = write_some(s, iov, n);
        if (done >= 0) {
            s->position += done;
            skip(&iov, &n, done);
        } else if (errno == EAGAIN) {
            r = wait_for_room(s, err);
        } else if (errno == EINTR) {
            r = check_patience(s, err);
        } else {
            r = failed(s, errno, err);
        }
    }
    return r;
}

static int check_size(const struct sink *s, const struct iovec *iov, int n, struct crs_error *err)
{
    uint64_t end = s->base + s->position;

    for (int i = 0; i < n; i++)
        end += iov[i].iov_len;
    if (end > s->file_limit)
        return crs_fail(err, CRS_STORAGE, EFBIG,
                        "the stream would be larger than the limit of this process for files "
                        "(ulimit -f), %llu bytes",
                        (unsigned long long)s->file_limit);
    return 0;
}

/* Have the disk write while we go on, as for packs (pack.c). */
static void start_writeback(struct sink *s)
{
    uint64_t end = s->base + s->position;

    if (s->sort != SINK_FILE || end - s->written_back < WRITEBACK_BYTES)
        return;
    sync_file_range(s->fd, s->written_back, end - s->written_back, SYNC_FILE_RANGE_WRITE);
    s->written_back = end;
}

/* A reader that is gone is an error in words, not a signal that ends whoever called us. */
struct quiet {
    sigset_t old;
    bool was_pending;
};

static void begin_quiet(struct quiet *q)
{
    sigset_t set;

    sigpending(&set);
    q->was_pending = sigismember(&set, SIGPIPE) == 1;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, &q->old);
}

static void end_quiet(const struct quiet *q)
{
    const struct timespec now = {0};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    if (!q->was_pending)
        while (sigtimedwait(&set, NULL, &now) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &q->old, NULL);
}

static int keep(struct sink *s, int r, const struct crs_error *why, struct crs_error *err)
{
    if (r < 0 && s->failed.kind == CRS_OK)
        s->failed = *why;
    if (r < 0 && err)
        *err = *why;
    return r;
}

int sink_write(struct sink *s, struct iovec *iov, int n, struct crs_error *err)
{
    struct crs_error why = {0};
    struct quiet quiet;

    if (s->failed.kind != CRS_OK)
        return keep(s, s->failed.errnum ? -s->failed.errnum : -EIO, &s->failed, err);
    begin_quiet(&quiet);
    int r = check_size(s, iov, n, &why);
    if (r == 0)
        r = write_all(s, iov, n, &why);
    end_quiet(&quiet);
    start_writeback(s);
    return keep(s, r, &why, err);
}

/* ---- the end ---- */

/* What the other end hasn't taken yet; -1: not known. A socket that was closed with something
 * unread has an error instead. */
static int left(struct sink *s)
{
    int n = 0, error = 0;
    socklen_t size = sizeof(error);

    if (ioctl(s->fd, s->sort == SINK_PIPE ? FIONREAD : SIOCOUTQ, &n) < 0)
        return -1;
    if (s->sort == SINK_SOCKET && getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 &&
        error) {
        errno = error;
        return -2;
    }
    return n;
}

static int drain(struct sink *s, struct crs_error *err)
{
    for (;;) {
        struct pollfd closed = {.fd = s->fd};
        int n = left(s), r = check_patience(s, err);
        if (n == -2)
            return failed(s, errno, err);
        if (n <= 0 || r < 0)
            return n <= 0 ? 0 : r;
        /* the last moment: it took all and closed meanwhile */
        if (s->sort == SINK_PIPE && poll(&closed, 1, DRAIN_MS) == 1 && left(s) > 0)
            return failed(s, EPIPE, err);
        if (s->sort == SINK_SOCKET)
            poll(NULL, 0, DRAIN_MS);
    }
}

int sink_finish(struct sink *s, struct crs_error *err)
{
    struct crs_error why = {0};
    int r = 0;

    if (s->failed.kind != CRS_OK)
        return keep(s, s->failed.errnum ? -s->failed.errnum : -EIO, &s->failed, err);
    if (s->sort == SINK_PIPE || s->sort == SINK_SOCKET)
        r = drain(s, &why);
    else if (fsync(s->fd) < 0 && errno != EINVAL && errno != EROFS) /* devices have none */
        r = failed(s, errno, &why);
    return keep(s, r, &why, err);
}
