/* wire.c - lines of JSON over a socket, and the socket's address */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "request.h"
#include "wire.h"

#define SEND_WAIT_MS 5000

void wire_clear(struct wire *wire)
{
    free(wire->data);
    wire->data = NULL;
    wire->size = wire->room = 0;
    if (wire->passed_fd > 0)
        close(wire->passed_fd);
    wire->passed_fd = 0;
}

/* Take the first line out of the buffer. -EAGAIN: no whole line there. */
static int take_line(struct wire *wire, json_t **ret)
{
    char *end = wire->size ? memchr(wire->data, '\n', wire->size) : NULL;

    if (!end)
        return wire->size >= REQUEST_LINE_MAX ? -EPROTO : -EAGAIN;
    size_t used = end + 1 - wire->data;
    json_t *message = json_loadb(wire->data, used, 0, NULL);
    memmove(wire->data, end + 1, wire->size - used);
    wire->size -= used;
    if (!json_is_object(message) || json_integer_value(json_object_get(message, "schema")) != 1) {
        json_decref(message);
        return -EPROTO;
    }
    *ret = message;
    return 0;
}

/* Room for one descriptor; padding may let a second one in. */
union control {
    struct cmsghdr header;
    char data[CMSG_SPACE(sizeof(int))];
};

static void take_fd(struct wire *wire, int fd)
{
    if (wire->passed_fd > 0)
        close(wire->passed_fd);
    wire->passed_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (wire->passed_fd < 0)
        wire->passed_fd = 0;
    close(fd);
}

static ssize_t receive(struct wire *wire)
{
    struct iovec room = {wire->data + wire->size, wire->room - wire->size};
    union control control;
    struct msghdr message = {.msg_iov = &room,
                             .msg_iovlen = 1,
                             .msg_control = control.data,
                             .msg_controllen = sizeof(control.data)};

    if (!wire->takes_fd)
        return recv(wire->fd, room.iov_base, room.iov_len, MSG_DONTWAIT);
    ssize_t n = recvmsg(wire->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&message); c;
         c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
            take_fd(wire, fd);
        }
    }
    return n;
}

static int fill(struct wire *wire)
{
    if (wire->room < REQUEST_LINE_MAX) {
        char *data = realloc(wire->data, REQUEST_LINE_MAX);
        if (!data)
            return -ENOMEM;
        wire->data = data;
        wire->room = REQUEST_LINE_MAX;
    }
    ssize_t n = receive(wire);
    if (n < 0)
        return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
    if (n == 0)
        return -ENODATA;
    wire->size += n;
    return 0;
}

int wire_read(struct wire *wire, json_t **ret)
{
    int r = take_line(wire, ret);

    while (r == -EAGAIN) {
        r = fill(wire);
        if (r >= 0)
            r = take_line(wire, ret);
        else
            break;
    }
    return r;
}

/* Bytes left over after the wait are lost, and the peer sees the connection's end. */
static int send_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        struct pollfd waiting = {.fd = fd, .events = POLLOUT};

        if (n >= 0) {
            text += n;
            size -= n;
        } else if (errno == EAGAIN) {
            if (poll(&waiting, 1, SEND_WAIT_MS) == 0)
                return -ETIMEDOUT;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* All of the line or nothing: room in the socket's buffer is asked for first. */
static bool has_room(int fd)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};

    return poll(&writable, 1, 0) == 1 && (writable.revents & POLLOUT);
}

int wire_send(int fd, json_t *message, bool wait)
{
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
    int r = -ENOMEM;

    json_decref(message);
    if (text) {
        size_t size = strlen(text);
        text[size] = '\n'; /* over the 0: the length is given */
        r = wait || has_room(fd) ? send_all(fd, text, size + 1) : -EAGAIN;
    }
    free(text);
    return r;
}

/* The descriptor goes with the first byte, the rest follows. */
int wire_send_with_fd(int fd, json_t *message, int passed_fd)
{
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
    union control control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                                        .cmsg_level = SOL_SOCKET,
                                        .cmsg_type = SCM_RIGHTS}};
    struct iovec first = {text, 1};
    struct msghdr header = {.msg_iov = &first,
                            .msg_iovlen = 1,
                            .msg_control = control.data,
                            .msg_controllen = sizeof(control.data)};
    int r = -ENOMEM;

    memcpy(CMSG_DATA(&control.header), &passed_fd, sizeof(passed_fd));
    json_decref(message);
    if (text) {
        size_t size = strlen(text);
        text[size] = '\n'; /* over the 0: the length is given */
        while ((r = sendmsg(fd, &header, MSG_NOSIGNAL) == 1 ? 0 : -errno) == -EINTR)
            ;
        if (r == 0)
            r = send_all(fd, text + 1, size);
    }
    free(text);
    return r;
}

void wire_address(int dirfd, const char *name, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dirfd, name);
}
