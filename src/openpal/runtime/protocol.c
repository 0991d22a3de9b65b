/* protocol.c - what opal-checkpoint and a process say to each other */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "openpal/runtime/protocol.h"

int protocol_send(int fd, const void *message, size_t size)
{
    ssize_t n;

    do
        n = send(fd, message, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return (size_t)n == size ? 0 : -EMSGSIZE;
}

static int receive(int fd, void *message, size_t size)
{
    ssize_t n;

    do
        n = recv(fd, message, size, MSG_TRUNC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    if (n == 0)
        return -EPIPE;
    return (size_t)n == size ? 0 : -EPROTO;
}

static bool ends(const char *string, size_t size)
{
    return memchr(string, '\0', size) != NULL;
}

int protocol_receive_request(int fd, struct protocol_request *ret)
{
    int r = receive(fd, ret, sizeof(*ret));

    if (r < 0)
        return r;
    if (ret->magic != PROTOCOL_MAGIC || ret->version != PROTOCOL_VERSION ||
        !ends(ret->name, sizeof(ret->name)) || !ends(ret->where, sizeof(ret->where)) ||
        !ends(ret->reply, sizeof(ret->reply)))
        return -EPROTO;
    return 0;
}

int protocol_receive_answer(int fd, struct protocol_answer *ret)
{
    int r = receive(fd, ret, sizeof(*ret));

    if (r < 0)
        return r;
    if (ret->magic != PROTOCOL_MAGIC || ret->version != PROTOCOL_VERSION ||
        !ends(ret->handle, sizeof(ret->handle)) || !ends(ret->words, sizeof(ret->words)))
        return -EPROTO;
    return 0;
}

int protocol_peer(int fd, pid_t *ret_pid, uid_t *ret_uid)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    *ret_pid = peer.pid;
    *ret_uid = peer.uid;
    return 0;
}

int protocol_connect(const char *path, int *ret_fd)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (fd < 0)
        return -errno;
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}
