/* passing.c - a record from one process to another, and a descriptor with it */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/passing.h"

union control {
    char space[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

int pass_record(int socket, const void *data, size_t size, int fd)
{
    struct iovec iov = {(void *)data, size};
    union control control = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        msg.msg_control = control.space;
        msg.msg_controllen = sizeof(control.space);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    return sendmsg(socket, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int take_record(int socket, void *data, size_t size, int flags, int *ret_fd)
{
    struct iovec iov = {data, size};
    union control control = {0};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control.space)};
    ssize_t n;
    int fd = -1;

    do
        n = recvmsg(socket, &msg, flags | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR && !(flags & MSG_DONTWAIT));
    if (n < 0)
        return -errno;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof(int));
    if (ret_fd && fd >= 0 && n == (ssize_t)size)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    return n == (ssize_t)size ? 0 : -EPIPE;
}
