/* tcp_make.c - TCP sockets of each state */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kobj/tcp.h"

struct tcp_made *tcp_find_made(struct tcp_sockets *s, uint32_t id)
{
    uint32_t at = id <= s->n_ids ? s->by_id[id] : 0;

    return at ? &s->all.items[at - 1] : NULL;
}

int tcp_make_bound(struct kobj_restore *ctx, struct tcp_made *one, struct crs_error *err)
{
    const Crs__InetSocket *socket = one->m->socket;
    struct inet_address local;
    int r = inet_make(ctx, socket, SOCK_STREAM, &one->fd, err);

    if (r < 0 || !socket->local)
        return r;
    r = inet_address_load(socket->local, &local, err);
    if (r == 0) /* beside the connections that are at the same address */
        r = inet_set_flag(one->fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (r == 0)
        r = inet_bind(one->fd, &local, err);
    return r;
}

/* ---- connected ---- */

static int own_side(const struct tcp_made *one, struct tcp_side *ret, struct crs_error *err)
{
    const Crs__InetSocket *socket = one->m->socket;

    if (!socket->local || !socket->peer)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "a connected socket has no address");
    ret->record = socket;
    return inet_address_load(socket->local, &ret->local, err);
}

/* A socket of ours that takes the place of the other end. */
static int other_side(const struct tcp_made *one, struct tcp_side *ret, struct crs_error *err)
{
    ret->record = NULL;
    return inet_address_load(one->m->socket->peer, &ret->local, err);
}

/* A socket can be connected to itself. */
static int connect_to_itself(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                             struct crs_error *err)
{
    struct tcp_side side;
    int r = own_side(one, &side, err);

    if (r == 0)
        r = tcp_connect_from(ctx, &side, &side.local, s->deadline_us, &one->fd, err);
    return r == 0 ? tcp_connect_wait(one->fd, err) : r;
}

static int connect_inside(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                          struct crs_error *err)
{
    struct tcp_made *other = tcp_find_made(s, one->m->other);
    struct tcp_side a, b;

    if (other == one)
        return connect_to_itself(ctx, s, one, err);
    if (!other || other->fd >= 0 || other->m->other != one->record->id)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "a connection has only one end");
    int r = own_side(one, &a, err);
    if (r == 0)
        r = own_side(other, &b, err);
    if (r < 0)
        return r;
    if (one->m->accepts)
        return tcp_connect_pair(ctx, &a, &b, s->deadline_us, &one->fd, &other->fd, err);
    return tcp_connect_pair(ctx, &b, &a, s->deadline_us, &other->fd, &one->fd, err);
}

/* To what will be closed as it was. Where its address can't be had any more, to another. */
static int connect_to_closed(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                             struct crs_error *err)
{
    struct tcp_side a, b;
    int r = own_side(one, &a, err);

    if (r == 0)
        r = other_side(one, &b, err);
    if (r < 0)
        return r;
    /* An end with a port below the ephemeral ones is better bound than connected. */
    bool low = inet_port(&a.local) < inet_port(&b.local);
    r = low ? tcp_connect_pair(ctx, &a, &b, s->deadline_us, &one->fd, &one->other, NULL)
            : tcp_connect_pair(ctx, &b, &a, s->deadline_us, &one->other, &one->fd, NULL);
    if (r == 0)
        return 0;
    kobj_warn(ctx->progress, ctx->progress_arg,
              "%s: the addresses of a connection whose other end was closed are in use: it comes "
              "back with others",
              one->record->name);
    return tcp_make_anywhere(ctx, one, err);
}

int tcp_make_connected(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                       struct crs_error *err)
{
    switch (one->m->other_is) {
    case CRS__TCP_OTHER__TCP_OTHER_INSIDE:
        return one->fd >= 0 ? 0 : connect_inside(ctx, s, one, err);
    case CRS__TCP_OTHER__TCP_OTHER_CLOSED:
        return connect_to_closed(ctx, s, one, err);
    case CRS__TCP_OTHER__TCP_OTHER_WAITING:
        return 0; /* when what it waits for listens */
    case CRS__TCP_OTHER__TCP_OTHER_LOST:
        return tcp_make_anywhere(ctx, one, err);
    case CRS__TCP_OTHER__TCP_OTHER_KEPT:
        return tcp_keep_make(ctx, one, err);
    default:
        return crs_fail(err, CRS_DAMAGED, EINVAL, "a connection of an unknown sort");
    }
}

/* ---- anywhere ---- */

static struct inet_address loopback(const Crs__InetSocket *socket)
{
    struct inet_address v4 = inet_wildcard(AF_INET, 0), v6 = inet_wildcard(AF_INET6, 0), local;

    v4.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.v6.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
    if (socket->family == AF_INET)
        return v4;
    if (socket->local && inet_address_load(socket->local, &local, NULL) == 0 &&
        inet_is_mapped(&local))
        return inet_for_family(&v4, AF_INET6);
    return v6;
}

int tcp_make_anywhere(struct kobj_restore *ctx, struct tcp_made *one, struct crs_error *err)
{
    struct tcp_side own = {one->m->socket, loopback(one->m->socket)}, other = {NULL, own.local};

    return tcp_connect_pair(ctx, &other, &own, 0, &one->other, &one->fd, err);
}

int tcp_make_failed(struct kobj_restore *ctx, struct tcp_made *one, struct crs_error *err)
{
    struct inet_address to = loopback(one->m->socket);
    /* Nobody listens there, and nobody can as long as it is ours. */
    _cleanup_close_ int refusing = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = inet_make(ctx, one->m->socket, SOCK_STREAM, &one->fd, err), error;
    struct pollfd p = {.fd = one->fd};
    socklen_t size = sizeof(error);

    if (r < 0)
        return r;
    if (refusing < 0 || bind(refusing, &to.any, to.size) < 0 || inet_get_local(refusing, &to) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't make a socket");
    p.fd = one->fd;
    connect(one->fd, &to.any, to.size);
    poll(&p, 1, 1000); /* for the error */
    if (!one->m->error)
        getsockopt(one->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return 0;
}

/* ---- connecting ---- */

int tcp_make_connecting(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                        struct crs_error *err)
{
    bool waiting = one->m->state == CRS__TCP_STATE__TCP_CONNECTED;
    struct inet_address to;
    struct tcp_side side;
    int r = own_side(one, &side, err);

    if (r == 0)
        r = inet_address_load(one->m->socket->peer, &to, err);
    if (r == 0)
        r = tcp_connect_from(ctx, &side, &to, s->deadline_us, &one->fd, err);
    if (r == 0 && waiting)
        r = tcp_connect_wait(one->fd, err);
    if (r == 0 || waiting || r == -EADDRINUSE || r == -ENOMEM)
        return r;
    kobj_warn(ctx->progress, ctx->progress_arg, "%s: what was being connected is refused here: %s",
              one->record->name, err ? err->text : strerror(-r));
    return tcp_make_failed(ctx, one, err);
}
