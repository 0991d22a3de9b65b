/*
 * raw_socket.c - raw sockets, and those for ICMP echoes that any user may have
 *
 * What waits to be read is not saved: a packet that came from the network can't be made to come
 * again, and whoever uses such a socket lives with losses.
 */
#include <netinet/icmp6.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/io.h"
#include "kobj/inet.h"
#include "proc/net_raw.h"
#include "raw_socket.pb-c.h"

#define TABLE_LIMIT (64u << 20)

static bool is_echo(uint32_t family, uint32_t protocol)
{
    return (family == AF_INET && protocol == IPPROTO_ICMP) ||
           (family == AF_INET6 && protocol == IPPROTO_ICMPV6);
}

static bool match(const struct open_file *file)
{
    int family = inet_question(file, SO_DOMAIN), type = inet_question(file, SO_TYPE);

    return (family == AF_INET || family == AF_INET6) &&
           (type == SOCK_RAW ||
            (type == SOCK_DGRAM && is_echo(family, inet_question(file, SO_PROTOCOL))));
}

/* ---- dump ---- */

/* A socket that was connected without a port doesn't tell its peer. */
static int find_peer(const struct open_file *file, Crs__RawSocket *m, struct crs_error *err)
{
    bool v6 = m->socket->family == AF_INET6, raw = m->type == SOCK_RAW;
    const char *name = raw ? v6 ? "net/raw6" : "net/raw" : v6 ? "net/icmp6" : "net/icmp";
    _cleanup_bytes_ struct bytes text = {0};
    struct inet_address peer = inet_wildcard(m->socket->family, 0);
    uint8_t address[16];
    size_t size = 0;

    if (m->socket->peer)
        return 0;
    int r = read_file(file->holder->proc_fd, name, TABLE_LIMIT, &text);
    if (r == -ENOENT)
        return 0; /* a kernel without such sockets of that family */
    if (r == 0)
        r = net_raw_find_peer((const char *)text.data, file->st.st_ino, address, &size);
    if (r == -ENOENT)
        return 0;
    if (r == 0 && size != (v6 ? 16 : 4))
        r = -EINVAL;
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "fd %d: can't find its peer in /proc/%d/%s: %s",
                        file->fd, file->holder->pid, name, strerror(-r));
    memcpy(v6 ? (void *)&peer.v6.sin6_addr : (void *)&peer.v4.sin_addr, address, size);
    return inet_address_save(&peer, &m->socket->peer) < 0
               ? crs_fail(err, CRS_FAILED, ENOMEM, "out of memory")
               : 0;
}

static int dump_socket(struct kobj_dump *ctx, const struct open_file *file, Crs__RawSocket *m,
                       struct crs_error *err)
{
    struct pollfd p = {.fd = file->dup_fd, .events = POLLIN | POLLRDHUP};
    int r = inet_check_namespace(file, err);

    m->type = inet_question(file, SO_TYPE);
    if (r == 0)
        r = inet_dump(file, false, &m->socket, err);
    if (r == 0)
        r = find_peer(file, m, err);
    if (r < 0 || poll(&p, 1, 0) != 1)
        return r;
    m->shut_read = p.revents & POLLRDHUP;
    m->shut_write = p.revents & POLLHUP;
    m->unread = p.revents & POLLIN && !m->shut_read;
    if (m->unread && ctx->terminate)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "fd %d is a raw socket: the packets that wait to be read from it are not saved",
                  file->fd);
    return 0;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    Crs__RawSocket *m = malloc(sizeof(*m));

    if (!m)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__raw_socket__init(m);
    int r = dump_socket(ctx, file, m, err);
    if (r == 0)
        r = kobj_pack(&m->base, ret_payload, err);
    crs__raw_socket__free_unpacked(m, NULL);
    return r;
}

/* ---- restart ---- */

static int unpack(const Crs__OpenFile *record, Crs__RawSocket **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__raw_socket__descriptor, (ProtobufCMessage **)ret, err);
}

/* Who may make it at all, in words. */
static int check_permission(const Crs__RawSocket *m, struct crs_error *err)
{
    _cleanup_close_ int fd =
        socket(m->socket->family, (int)m->type | SOCK_CLOEXEC, m->socket->protocol);

    if (fd >= 0)
        return 0;
    if (errno == EPERM || errno == EACCES)
        return crs_fail(err, CRS_NOT_PERMITTED, errno,
                        m->type == SOCK_RAW ? "a raw socket needs CAP_NET_RAW"
                                            : "a socket for ICMP echoes needs a group that "
                                              "net.ipv4.ping_group_range allows");
    return crs_fail_errno(err, CRS_CANT_RESTART, "can't make a raw socket");
}

static int check_record(const Crs__RawSocket *m, struct crs_error *err)
{
    int r = inet_check(m->socket, err);

    if (r == 0 && m->type != SOCK_RAW &&
        (m->type != SOCK_DGRAM || !is_echo(m->socket->family, m->socket->protocol)))
        r = crs_fail(err, CRS_DAMAGED, EINVAL, "a raw socket of type %u and protocol %u", m->type,
                     m->socket->protocol);
    return r == 0 ? check_permission(m, err) : r;
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__RawSocket *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    r = check_record(m, err);
    crs__raw_socket__free_unpacked(m, NULL);
    return r < 0 ? crs_fail_at(err, r, "%s", record->name) : 0;
}

/* The address of a connected socket was perhaps only the one that the kernel chose. */
static int bind_socket(const Crs__RawSocket *m, int fd, struct crs_error *err)
{
    struct inet_address local;

    if (!m->socket->local)
        return 0;
    int r = inet_address_load(m->socket->local, &local, err);
    if (r == 0 && m->socket->peer && !inet_is_wildcard(&local) && !inet_is_here(&local))
        local = inet_wildcard(m->socket->family, inet_port(&local));
    return r == 0 ? inet_bind(fd, &local, err) : r;
}

static int connect_socket(const Crs__RawSocket *m, int fd, struct crs_error *err)
{
    char text[INET_TEXT_SIZE];
    struct inet_address peer;

    if (!m->socket->peer)
        return 0;
    int r = inet_address_load(m->socket->peer, &peer, err);
    if (r == 0 && connect(fd, &peer.any, peer.size) < 0)
        r = crs_fail_errno(err, CRS_CANT_RESTART, "can't connect a raw socket to %s",
                           inet_format(&peer, text));
    return r;
}

static int make(struct kobj_restore *ctx, const Crs__OpenFile *record, const Crs__RawSocket *m,
                int *ret_fd, struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    int r = inet_make(ctx, m->socket, (int)m->type, &fd, err);

    if (r == 0) /* before the first packet can come */
        r = inet_filter_restore(m->socket, fd, err);
    if (r == 0)
        r = bind_socket(m, fd, err);
    if (r == 0)
        r = inet_options_restore(ctx, m->socket, fd, INET_AT_END, err);
    if (r == 0)
        r = connect_socket(m, fd, err);
    if (r == 0)
        r = inet_groups_restore(m->socket, fd, err);
    if (r < 0)
        return r;
    if (m->shut_write)
        shutdown(fd, SHUT_WR);
    if (m->shut_read)
        shutdown(fd, SHUT_RD);
    return file_finish(TAKE_FD(fd), record, ret_fd, err);
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    Crs__RawSocket *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    if (m->unread)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "%s: the packets that waited to be read are lost", record->name);
    r = make(ctx, record, m, ret_fd, err);
    crs__raw_socket__free_unpacked(m, NULL);
    return r;
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    char local[INET_TEXT_SIZE], peer[INET_TEXT_SIZE];
    Crs__RawSocket *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    bool connected = m->socket && m->socket->peer;
    inet_describe(m->socket ? m->socket->local : NULL, local);
    inet_describe(connected ? m->socket->peer : NULL, peer);
    snprintf(text, size, "protocol %u, %s%s%s", m->socket ? m->socket->protocol : 0, local,
             connected ? " to " : "", connected ? peer : "");
    crs__raw_socket__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_raw_socket = {
    .name = "raw-socket",
    .title = "raw socket, or for ICMP echoes",
    .saved = "yes",
    .conditions = "packets that wait to be read are lost; so are multicast routing and "
                  "IP_ROUTER_ALERT, which the kernel doesn't tell",
    .privilege = "CAP_NET_RAW for raw sockets",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .describe = describe,
};
