/*
 * tcp_connect.c - a connection between two sockets of ours, at given addresses
 *
 * No privilege is needed for that, but a way around the minute in which the kernel reserves the
 * addresses of a connection that has ended (TIME_WAIT). A port that the kernel chooses is free of
 * that after a second (net.ipv4.tcp_tw_reuse_delay); so the connecting end lets it choose, from a
 * range of one port (IP_LOCAL_PORT_RANGE, Linux 6.3). That also works when other connections have
 * the same local port, which bind(2) refuses.
 */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/tcp.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

#define RETRY_US        20000
#define CONNECT_WAIT_MS 10000
#define BACKLOG         16

/* ---- the connecting end ---- */

static int make(struct kobj_restore *ctx, const struct tcp_side *side, int *ret_fd,
                struct crs_error *err)
{
    Crs__InetSocket plain = CRS__INET_SOCKET__INIT;

    plain.family = side->local.any.sa_family;
    plain.protocol = IPPROTO_TCP;
    int r = inet_make(ctx, side->record ? side->record : &plain, SOCK_STREAM, ret_fd, err);
    if (r == 0)
        inet_set_flag(*ret_fd, SOL_SOCKET, SO_REUSEADDR, 1);
    return r;
}

static int start(int fd, const struct inet_address *to)
{
    if (connect(fd, &to->any, to->size) == 0 || errno == EINPROGRESS)
        return 0;
    return -errno;
}

/* -EOPNOTSUPP: the kernel can't choose that port. */
static int connect_from_range(int fd, const struct inet_address *local,
                              const struct inet_address *to)
{
    uint32_t port = inet_port(local), range = port << 16 | port;
    struct inet_address any_port = *local, now;

    inet_set_port(&any_port, 0);
    if (inet_set_flag(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, (int)range) < 0 ||
        inet_set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) < 0)
        return -EOPNOTSUPP;
    if (bind(fd, &any_port.any, any_port.size) < 0)
        return -errno;
    int r = start(fd, to);
    inet_set_flag(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, 0);
    /* A range outside of the kernel's own is ignored. */
    if (r == 0 && (inet_get_local(fd, &now) < 0 || inet_port(&now) != port))
        return -EOPNOTSUPP;
    return r;
}

static int connect_bound(int fd, const struct inet_address *local, const struct inet_address *to)
{
    if (bind(fd, &local->any, local->size) < 0)
        return -errno;
    return start(fd, to);
}

static int try_connect(struct kobj_restore *ctx, const struct tcp_side *side,
                       const struct inet_address *to, int *ret_fd, struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    int r = make(ctx, side, &fd, err);

    if (r < 0)
        return r;
    r = inet_port(&side->local) ? connect_from_range(fd, &side->local, to) : -EOPNOTSUPP;
    if (r == -EOPNOTSUPP) {
        cleanup_close(&fd);
        fd = -1;
        r = make(ctx, side, &fd, err);
        if (r < 0)
            return r;
        r = connect_bound(fd, &side->local, to);
    }
    if (r == 0)
        *ret_fd = TAKE_FD(fd);
    return r;
}

static int fail(const struct inet_address *local, const struct inet_address *to, int errnum,
                struct crs_error *err)
{
    char from_text[INET_TEXT_SIZE], to_text[INET_TEXT_SIZE];
    bool busy = errnum == EADDRNOTAVAIL || errnum == EADDRINUSE;

    inet_format(local, from_text);
    inet_format(to, to_text);
    /* A local address that isn't here fails at once, and otherwise. */
    if (busy && !inet_is_here(local))
        return crs_fail(err, CRS_CANT_RESTART, errnum,
                        "the program's address %s isn't one of this machine", from_text);
    return crs_fail(err, busy ? CRS_BUSY : CRS_CANT_RESTART, errnum,
                    "can't connect the program's address %s to %s: %s", from_text, to_text,
                    busy ? "the address is in use, by another program or for up to a minute by a "
                           "connection that has just ended"
                         : strerror(errnum));
}

int tcp_connect_from(struct kobj_restore *ctx, const struct tcp_side *side,
                     const struct inet_address *to, uint64_t deadline_us, int *ret_fd,
                     struct crs_error *err)
{
    struct crs_error making = {0};

    for (;;) {
        int r = try_connect(ctx, side, to, ret_fd, &making);
        if (r == 0)
            return 0;
        if (making.kind != CRS_OK) {
            if (err)
                *err = making;
            return r;
        }
        if (r != -EADDRNOTAVAIL || now_us() >= deadline_us || !inet_is_here(&side->local))
            return fail(&side->local, to, -r, err);
        usleep(RETRY_US);
    }
}

int tcp_connect_wait(int fd, struct crs_error *err)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int error = ETIMEDOUT;
    socklen_t size = sizeof(error);

    if (poll(&p, 1, CONNECT_WAIT_MS) == 1)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
        return crs_fail(err, CRS_CANT_RESTART, error,
                        "can't connect two sockets of the program again: %s", strerror(error));
    return 0;
}

/* ---- the accepting end ---- */

static int listen_at(struct kobj_restore *ctx, const struct tcp_side *side, int *ret_fd,
                     struct inet_address *ret_local, struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    int r = make(ctx, side, &fd, err);

    if (r == 0)
        r = inet_bind(fd, &side->local, err);
    if (r < 0)
        return r;
    if (listen(fd, BACKLOG) < 0)
        return crs_fail_errno(err, errno == EADDRINUSE ? CRS_BUSY : CRS_CANT_RESTART,
                              "can't accept a connection of the program again");
    if (inet_get_local(fd, ret_local) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't read the address of a socket");
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* Others may connect to the address, too. */
static int accept_from(int listener, const struct inet_address *from, int *ret_fd,
                       struct crs_error *err)
{
    struct inet_key wanted = inet_make_key(from);
    struct inet_address peer;

    for (;;) {
        struct pollfd p = {.fd = listener, .events = POLLIN};
        if (poll(&p, 1, CONNECT_WAIT_MS) == 0)
            return crs_fail(err, CRS_CANT_RESTART, ETIMEDOUT,
                            "a connection between two sockets of the program doesn't arrive");
        _cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 || inet_get_peer(fd, &peer) < 0)
            continue;
        struct inet_key key = inet_make_key(&peer);
        if (memcmp(&key, &wanted, sizeof(key)) == 0) {
            *ret_fd = TAKE_FD(fd);
            return 0;
        }
    }
}

/* ---- both ---- */

static int connect_pair(struct kobj_restore *ctx, const struct tcp_side *accepting,
                        const struct tcp_side *connecting, uint64_t deadline_us, int *ret_accepting,
                        int *ret_connecting, struct crs_error *err)
{
    _cleanup_close_ int listener = -1, fd = -1;
    struct inet_address address, from;
    int r = listen_at(ctx, accepting, &listener, &address, err);

    if (r < 0)
        return r;
    address = inet_for_family(&address, connecting->local.any.sa_family);
    r = tcp_connect_from(ctx, connecting, &address, deadline_us, &fd, err);
    if (r == 0 && inet_get_local(fd, &from) < 0)
        r = crs_fail_errno(err, CRS_FAILED, "can't read the address of a socket");
    if (r == 0)
        r = tcp_connect_wait(fd, err);
    if (r == 0)
        r = accept_from(listener, &from, ret_accepting, err);
    if (r == 0)
        *ret_connecting = TAKE_FD(fd);
    return r;
}

int tcp_connect_pair(struct kobj_restore *ctx, const struct tcp_side *first,
                     const struct tcp_side *second, uint64_t deadline_us, int *ret_first,
                     int *ret_second, struct crs_error *err)
{
    int r = connect_pair(ctx, first, second, deadline_us, ret_first, ret_second, err);

    if (r == -EADDRINUSE || r == -EADDRNOTAVAIL)
        r = connect_pair(ctx, second, first, deadline_us, ret_second, ret_first, NULL) < 0 ? r : 0;
    return r;
}
