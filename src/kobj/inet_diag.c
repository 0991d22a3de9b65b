/* inet_diag.c - questions to the kernel about one TCP socket, by its addresses */
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kobj/inet_diag.h"
#include "kobj/inside.h"
#include "kobj/tcp.h"

static _Thread_local int inside_fd = -1; /* of kobj_dump.diag_fd */

static int open_own(void *data, int *ret_fd, struct crs_error *err)
{
    *ret_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (*ret_fd < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't ask the kernel about sockets");
    return 0;
}

int inet_diag_ask_inside(struct kobj_dump *ctx, struct crs_error *err)
{
    char none = 0;
    int r = kobj_inside(ctx->t, "net", open_own, &none, 0, &ctx->diag_fd, err);

    if (r == 0)
        inside_fd = ctx->diag_fd;
    return r;
}

bool inet_diag_is_inside(void)
{
    return inside_fd >= 0;
}

int inet_diag_open(void)
{
    char rest[8192];

    if (inside_fd < 0)
        return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    /* What is left of the answer to an earlier question. */
    while (recv(inside_fd, rest, sizeof(rest), MSG_DONTWAIT) > 0)
        ;
    return fcntl(inside_fd, F_DUPFD_CLOEXEC, 3);
}

struct question {
    struct nlmsghdr header;
    struct inet_diag_req_v2 request;
};

static void fill_address(const struct inet_address *address, __be32 *host, __be16 *port)
{
    if (address->any.sa_family == AF_INET) {
        memcpy(host, &address->v4.sin_addr, 4);
        *port = address->v4.sin_port;
    } else {
        memcpy(host, &address->v6.sin6_addr, 16);
        *port = address->v6.sin6_port;
    }
}

static int ask(int fd, const struct inet_address *local, const struct inet_address *peer)
{
    struct question q = {
        .header = {.nlmsg_len = sizeof(q),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST},
        .request = {.sdiag_family = local->any.sa_family,
                    .sdiag_protocol = IPPROTO_TCP,
                    .idiag_states = ~0u,
                    .id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}},
    };

    fill_address(local, q.request.id.idiag_src, &q.request.id.idiag_sport);
    fill_address(peer, q.request.id.idiag_dst, &q.request.id.idiag_dport);
    if (local->any.sa_family == AF_INET6)
        q.request.id.idiag_if = local->v6.sin6_scope_id;
    return send(fd, &q, sizeof(q), 0) < 0 ? -errno : 0;
}

static int answer(int fd, struct inet_diag *ret)
{
    _Alignas(8) uint8_t buffer[8192];
    ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
    const struct nlmsghdr *header = (const struct nlmsghdr *)buffer;

    if (n < (ssize_t)sizeof(*header))
        return n < 0 ? -errno : -EPROTO;
    if (header->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *error = NLMSG_DATA(header);
        return error->error ? error->error : -EPROTO;
    }
    if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
        return -EPROTO;
    const struct inet_diag_msg *m = NLMSG_DATA(header);
    /* Where no connection is found the kernel answers with a listening socket. */
    if (m->idiag_state == TCP_STATE_LISTEN)
        return -ENOENT;
    *ret = (struct inet_diag){m->idiag_state, m->idiag_inode, m->idiag_rqueue, m->idiag_wqueue};
    return 0;
}

int inet_diag_find(const struct inet_address *local, const struct inet_address *peer,
                   struct inet_diag *ret)
{
    /* IPv4 in IPv6 is found as IPv4, whatever the socket's own family is. */
    struct inet_address a = inet_unmapped(local), b = inet_unmapped(peer);
    _cleanup_close_ int fd = inet_diag_open();

    if (fd < 0)
        return -errno;
    int r = ask(fd, &a, &b);
    return r == 0 ? answer(fd, ret) : r;
}

/* ---- sockets that connect ---- */

static int ask_connecting(int fd, int family)
{
    struct question q = {
        .header = {.nlmsg_len = sizeof(q),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.sdiag_family = family,
                    .sdiag_protocol = IPPROTO_TCP,
                    .idiag_states = 1u << TCP_STATE_SYN_SENT},
    };

    return send(fd, &q, sizeof(q), 0) < 0 ? -errno : 0;
}

static struct inet_address peer_of(const struct inet_diag_msg *m)
{
    struct inet_address peer = inet_wildcard(m->idiag_family, ntohs(m->id.idiag_dport));

    if (m->idiag_family == AF_INET)
        memcpy(&peer.v4.sin_addr, m->id.idiag_dst, 4);
    else {
        memcpy(&peer.v6.sin6_addr, m->id.idiag_dst, 16);
        if (IN6_IS_ADDR_LINKLOCAL(&peer.v6.sin6_addr))
            peer.v6.sin6_scope_id = m->id.idiag_if;
    }
    return peer;
}

/* One message of several; -EAGAIN: not the last. */
static int look_for(int fd, uint32_t inode, struct inet_address *ret_peer)
{
    _Alignas(8) uint8_t buffer[32768];
    ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
    size_t n = size < 0 ? 0 : size;

    if (size <= 0)
        return size < 0 ? -errno : -EPROTO;
    for (const struct nlmsghdr *h = (void *)buffer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
        const struct inet_diag_msg *m = NLMSG_DATA(h);
        if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
            return -ENOENT;
        if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) || m->idiag_inode != inode)
            continue;
        *ret_peer = peer_of(m);
        return 0;
    }
    return -EAGAIN;
}

int inet_diag_connecting(int family, uint32_t inode, struct inet_address *ret_peer)
{
    static const int families[] = {AF_INET, AF_INET6};
    int r = -ENOENT;

    /* A socket for IPv6 that connects by IPv4 may be listed with either. */
    for (size_t i = 0; r < 0 && i < ELEMENTS(families); i++) {
        _cleanup_close_ int fd = inet_diag_open();
        struct inet_address peer;
        if (fd < 0 || ask_connecting(fd, families[i]) < 0)
            return -errno;
        do
            r = look_for(fd, inode, &peer);
        while (r == -EAGAIN);
        if (r == 0)
            *ret_peer = inet_for_family(&peer, family);
    }
    return r;
}
