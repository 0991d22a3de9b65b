/* udp_socket.c - UDP and UDP-Lite sockets */
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "kobj/udp.h"

static bool match(const struct open_file *file)
{
    return inet_is(file, SOCK_DGRAM, IPPROTO_UDP) || inet_is(file, SOCK_DGRAM, IPPROTO_UDPLITE);
}

/* ---- dump ---- */

/* A datagram that is being put together by several calls (UDP_CORK). */
static int check_cork(const struct open_file *file, struct crs_error *err)
{
    int corked = 0, pending = 0;
    socklen_t size = sizeof(corked);

    if (getsockopt(file->dup_fd, IPPROTO_UDP, UDP_CORK, &corked, &size) < 0 || !corked ||
        ioctl(file->dup_fd, SIOCOUTQ, &pending) < 0 || pending == 0)
        return 0;
    return file_refuse(file, err, "the datagram that is being put together in it can't be read",
                       "take the checkpoint when it has been sent (UDP_CORK)");
}

static int dump_socket(const struct open_file *file, Crs__UdpSocket *m, struct crs_error *err)
{
    struct pollfd p = {.fd = file->dup_fd, .events = POLLRDHUP};
    int r = inet_check_namespace(file, err);

    if (r == 0)
        r = inet_dump(file, false, &m->socket, err);
    if (r == 0)
        r = check_cork(file, err);
    if (r == 0)
        r = udp_peek(file, m, err);
    if (r == 0 && poll(&p, 1, 0) == 1) {
        m->shut_read = p.revents & POLLRDHUP;
        m->shut_write = p.revents & POLLHUP;
    }
    return r;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    Crs__UdpSocket *m = malloc(sizeof(*m));

    if (!m)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__udp_socket__init(m);
    int r = dump_socket(file, m, err);
    if (r == 0)
        r = kobj_pack(&m->base, ret_payload, err);
    crs__udp_socket__free_unpacked(m, NULL);
    return r;
}

/* ---- describe ---- */

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    char local[INET_TEXT_SIZE], peer[INET_TEXT_SIZE];
    Crs__UdpSocket *m;
    int r = udp_unpack(record, &m, NULL);

    if (r < 0)
        return r;
    bool connected = m->socket && m->socket->peer;
    inet_describe(m->socket ? m->socket->local : NULL, local);
    inet_describe(connected ? m->socket->peer : NULL, peer);
    int n = snprintf(text, size, "%s%s%s", local, connected ? " to " : "", connected ? peer : "");
    if (m->n_unread && n >= 0 && (size_t)n < size)
        snprintf(text + n, size - n, ", %zu datagram%s to read", m->n_unread,
                 m->n_unread == 1 ? "" : "s");
    crs__udp_socket__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_udp_socket = {
    .name = "udp-socket",
    .title = "UDP socket",
    .saved = "yes",
    .conditions =
        "unread datagrams from other machines are lost, as UDP may lose them; so are empty "
        "ones that an earlier checkpoint has seen: the kernel shows them once",
    .match = match,
    .dump = dump,
    .check = udp_check,
    .restore = udp_restore,
    .describe = describe,
};
