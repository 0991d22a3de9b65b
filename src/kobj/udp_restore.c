/*
 * udp_restore.c - UDP sockets are made all at once, when the first is asked for
 *
 * While all have SO_REUSEADDR, a socket of ours can be bound to any of their addresses beside them,
 * and send what they had sent.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kobj/udp.h"

struct made {
    const Crs__OpenFile *record;
    Crs__UdpSocket *m;
    int fd; /* ours until it is given out */
};

/* What ctx->udp points to. */
struct udp_sockets {
    ARRAY_OF(struct made) all;
};

int udp_unpack(const Crs__OpenFile *record, Crs__UdpSocket **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__udp_socket__descriptor, (ProtobufCMessage **)ret, err);
}

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* ---- check ---- */

/* The address of a connected socket was perhaps only the one that the kernel chose for its way to
 * the peer: here it may be another. */
static int load_local(const Crs__InetSocket *socket, struct inet_address *ret, bool *ret_moved,
                      struct crs_error *err)
{
    int r = inet_address_load(socket->local, ret, err);

    *ret_moved = r == 0 && socket->peer && !inet_is_wildcard(ret) && !inet_is_here(ret);
    if (*ret_moved)
        *ret = inet_wildcard(socket->family, inet_port(ret));
    return r;
}

static int check_record(const Crs__UdpSocket *m, bool own_net, struct crs_error *err)
{
    struct inet_address local;
    bool moved;
    int r = inet_check(m->socket, err);

    if (r == 0 && m->socket->protocol != IPPROTO_UDP && m->socket->protocol != IPPROTO_UDPLITE)
        r = crs_fail(err, CRS_DAMAGED, EINVAL, "a UDP socket of protocol %u", m->socket->protocol);
    if (r < 0 || !m->socket->local)
        return r;
    r = load_local(m->socket, &local, &moved, err);
    return r == 0 && !own_net ? inet_check_bind(m->socket, SOCK_DGRAM, &local, err) : r;
}

int udp_check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__UdpSocket *m;
    int r = udp_unpack(record, &m, err);

    if (r < 0)
        return r;
    r = check_record(m, ctx->own_net, err);
    crs__udp_socket__free_unpacked(m, NULL);
    return r < 0 ? crs_fail_at(err, r, "%s", record->name) : 0;
}

/* ---- restore ---- */

static int bind_one(struct kobj_restore *ctx, struct made *one, struct crs_error *err)
{
    const Crs__InetSocket *socket = one->m->socket;
    struct inet_address local;
    bool moved = false;
    int r = inet_make(ctx, socket, SOCK_DGRAM, &one->fd, err);

    if (r == 0 && socket->local)
        r = load_local(socket, &local, &moved, err);
    if (r == 0 && socket->local)
        r = inet_bind(one->fd, &local, err);
    if (r == 0)
        r = inet_set_flag(one->fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (r == 0 && moved)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "%s: the program's own address isn't one of this machine; the kernel chooses "
                  "another",
                  one->record->name);
    return r;
}

static int connect_one(const struct made *one, struct crs_error *err)
{
    char text[INET_TEXT_SIZE];
    struct inet_address peer;

    if (!one->m->socket->peer)
        return 0;
    int r = inet_address_load(one->m->socket->peer, &peer, err);
    if (r == 0 && connect(one->fd, &peer.any, peer.size) < 0)
        r = crs_fail_errno(err, CRS_CANT_RESTART, "can't connect a UDP socket to %s",
                           inet_format(&peer, text));
    return r;
}

static int fill_one(struct kobj_restore *ctx, struct made *one, struct crs_error *err)
{
    size_t lost = 0;

    if (one->m->n_unread == 0)
        return 0;
    int r = udp_fill(one->m, one->fd, &lost, err);
    if (lost)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "%s: %zu of %zu unread datagrams are lost: they can't be sent from their "
                  "senders' addresses here",
                  one->record->name, lost, one->m->n_unread);
    return r;
}

/* The size of the queue is an option: before it is filled. */
static int options_of_one(struct kobj_restore *ctx, struct made *one, struct crs_error *err)
{
    return inet_options_restore(ctx, one->m->socket, one->fd, INET_AT_END, err);
}

static int finish_one(struct kobj_restore *ctx, struct made *one, struct crs_error *err)
{
    const Crs__InetSocket *socket = one->m->socket;
    int r = inet_filter_restore(socket, one->fd, err);

    if (r == 0)
        r = inet_groups_restore(socket, one->fd, err);
    inet_set_flag(one->fd, SOL_SOCKET, SO_REUSEADDR,
                  inet_option_value(socket, SOL_SOCKET, SO_REUSEADDR, 0));
    if (one->m->shut_write)
        shutdown(one->fd, SHUT_WR);
    if (one->m->shut_read)
        shutdown(one->fd, SHUT_RD);
    return r;
}

static int make_one(struct kobj_restore *ctx, struct made *one, struct crs_error *err)
{
    int r = bind_one(ctx, one, err);

    if (r == 0)
        r = options_of_one(ctx, one, err);
    return r == 0 ? connect_one(one, err) : r;
}

static int load(struct kobj_restore *ctx, struct udp_sockets *s, struct crs_error *err)
{
    for (size_t i = 0; i < ctx->files->n_files; i++) {
        const Crs__OpenFile *record = ctx->files->files[i];
        if (strcmp(record->kind, kobj_udp_socket.name) != 0)
            continue;
        struct made *one = ARRAY_ADD(&s->all);
        if (!one)
            return out_of_memory(err);
        *one = (struct made){.record = record, .fd = -1};
        int r = udp_unpack(record, &one->m, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int make_all(struct kobj_restore *ctx, struct udp_sockets *s, struct crs_error *err)
{
    static int (*const steps[])(struct kobj_restore *, struct made *,
                                struct crs_error *) = {make_one, fill_one, finish_one};
    int r = load(ctx, s, err);

    for (size_t i = 0; r == 0 && i < ELEMENTS(steps); i++)
        for (size_t j = 0; r == 0 && j < s->all.n; j++)
            r = steps[i](ctx, &s->all.items[j], err);
    return r;
}

int udp_restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                struct crs_error *err)
{
    int r = 0;

    if (!ctx->udp) {
        ctx->udp = calloc(1, sizeof(struct udp_sockets));
        if (!ctx->udp)
            return out_of_memory(err);
        r = make_all(ctx, ctx->udp, err);
    }
    struct udp_sockets *s = ctx->udp;
    for (size_t i = 0; r == 0 && i < s->all.n; i++)
        if (s->all.items[i].record == record && s->all.items[i].fd >= 0)
            return file_finish(TAKE_FD(s->all.items[i].fd), record, ret_fd, err);
    return r < 0 ? r : crs_fail(err, CRS_DAMAGED, EINVAL, "a socket is there twice");
}

void udp_restore_end(struct kobj_restore *ctx)
{
    struct udp_sockets *s = ctx->udp;

    for (size_t i = 0; s && i < s->all.n; i++) {
        cleanup_close(&s->all.items[i].fd);
        if (s->all.items[i].m)
            crs__udp_socket__free_unpacked(s->all.items[i].m, NULL);
    }
    if (s)
        free(s->all.items);
    free(s);
    ctx->udp = NULL;
}
