/*
 * relay.c - output of a restored process that goes on in the caller's file
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "openpal/criu/keeper.h"
#include "openpal/criu/relay.h"

bool relay_is_needed(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode));
}

/* ---- the process; its descriptors are numbered by keeper_apart() ---- */

enum { FROM = KEEPER_FIRST_FD, TO, CONTROL };

static void write_all(const char *data, ssize_t size)
{
    while (size > 0) {
        ssize_t n = write(TO, data, (size_t)size);
        if (n < 0 && errno != EINTR)
            _exit(1);
        if (n > 0)
            data += n, size -= n;
    }
}

/* What is there now. 0: there are no writers any more. */
static ssize_t move(void)
{
    char data[65536];
    ssize_t n = read(FROM, data, sizeof(data));
    if (n > 0)
        write_all(data, n);
    return n;
}

/* Asked to: everything that is there, then an answer. The other end may be gone. */
static bool flush_now(void)
{
    char byte;
    if (read(CONTROL, &byte, 1) <= 0)
        return false;
    fcntl(FROM, F_SETFL, O_NONBLOCK);
    while (move() > 0)
        ;
    fcntl(FROM, F_SETFL, 0);
    return send(CONTROL, &byte, 1, MSG_NOSIGNAL) == 1;
}

static void run(void)
{
    struct pollfd fds[] = {{.fd = FROM, .events = POLLIN}, {.fd = CONTROL, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents && !flush_now())
            fds[1].fd = -1;
        if (fds[0].revents && move() == 0)
            return;
    }
}

/* ---- the caller's side ---- */

static int start(int fd, struct relay *relay)
{
    int ends[2], pair[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    _cleanup_close_ int from = ends[0];
    relay->pipe_fd = ends[1];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    _cleanup_close_ int control = pair[0];
    relay->control_fd = pair[1];
    const int given[KEEPER_APART_FDS] = {from, fd, control};
    return keeper_apart(run, given);
}

int relay_start(int fd, struct relay *ret, struct crs_error *err)
{
    struct relay relay = RELAY_NONE;
    int r = start(fd, &relay);
    if (r < 0) {
        relay_close(&relay);
        errno = -r;
        return crs_fail_errno(err, CRS_FAILED, "can't start a relay for descriptor %d", fd);
    }
    *ret = relay;
    return 0;
}

void relay_flush(struct relay *relay)
{
    char byte = 0;
    if (relay->control_fd < 0 || send(relay->control_fd, &byte, 1, MSG_NOSIGNAL) != 1)
        return;
    while (read(relay->control_fd, &byte, 1) < 0 && errno == EINTR)
        ;
}

void relay_close(struct relay *relay)
{
    cleanup_close(&relay->pipe_fd);
    cleanup_close(&relay->control_fd);
    *relay = (struct relay)RELAY_NONE;
}
