/*
 * unix_sockets.h - what the victims with unix sockets share
 */
#ifndef UNIX_SOCKETS_H
#define UNIX_SOCKETS_H

#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "victim.h"

/* An address of a path, or, with '@' in front, of an abstract name. */
static inline socklen_t address_of(const char *name, struct sockaddr_un *ret)
{
    size_t n = strlen(name);

    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, name, n);
    if (name[0] == '@')
        ret->sun_path[0] = 0;
    return offsetof(struct sockaddr_un, sun_path) + n + (name[0] != '@');
}

static inline int bound(int type, const char *name)
{
    struct sockaddr_un address;
    socklen_t size = address_of(name, &address);
    int fd = socket(AF_UNIX, type, 0);

    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0);
    return fd;
}

static inline int connect_to(int fd, const char *name)
{
    struct sockaddr_un address;
    socklen_t size = address_of(name, &address);

    return connect(fd, (struct sockaddr *)&address, size);
}

static inline int connected(int type, const char *name)
{
    int fd = socket(AF_UNIX, type, 0);

    MUST(fd >= 0 && connect_to(fd, name) == 0);
    return fd;
}

/* Is that the name of it (peer: of its other end)? "": it has none. */
static inline bool has_name(int fd, bool peer, const char *name)
{
    struct sockaddr_un wanted, address = {0};
    socklen_t size = sizeof(address), wanted_size = address_of(name, &wanted);

    if ((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&address, &size) < 0)
        return false;
    if (!name[0])
        return size == sizeof(sa_family_t);
    return size == wanted_size &&
           memcmp(&address, &wanted, offsetof(struct sockaddr_un, sun_path)) == 0 &&
           memcmp(address.sun_path, wanted.sun_path, strlen(name)) == 0;
}

/* The next that comes is these bytes, and ends there. */
static inline bool comes(int fd, const void *data, size_t size)
{
    char buffer[4096];
    ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

    return n == (ssize_t)size && memcmp(buffer, data, size) == 0;
}

static inline bool goes(int fd, const void *data, size_t size)
{
    return send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size;
}

static inline bool is_empty(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static inline bool is_at_end(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static inline int events_of(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

    return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

/* Descriptors with a message. */
static inline bool goes_with(int fd, const void *data, size_t size, const int *fds, int n)
{
    union {
        char space[CMSG_SPACE(8 * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {(void *)data, size};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.space,
                            .msg_controllen = CMSG_SPACE(n * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    return sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size;
}

/* The message that comes next, with that many descriptors. */
static inline bool comes_with(int fd, const void *data, size_t size, int *fds, int n)
{
    union {
        char space[CMSG_SPACE(8 * sizeof(int))];
        struct cmsghdr align;
    } control;
    char buffer[4096];
    struct iovec iov = {buffer, sizeof(buffer)};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.space,
                            .msg_controllen = sizeof(control.space)};
    ssize_t got = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = got < 0 ? NULL : CMSG_FIRSTHDR(&header);

    if (got != (ssize_t)size || memcmp(buffer, data, size) != 0)
        return false;
    if (!c)
        return n == 0;
    if (c->cmsg_len != CMSG_LEN(n * sizeof(int)))
        return false;
    memcpy(fds, CMSG_DATA(c), n * sizeof(int));
    return true;
}

#endif
