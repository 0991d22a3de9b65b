/*
 * unix_restore.c - unix sockets are made again
 *
 * All of them at once, by the first that is restored: a connection needs both ends. The order is
 * names shared by accepted sockets, connections, the names of the rest; and when all other files
 * of the snapshot are made: what waits to be read, connections to be accepted, what was closed.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "kobj/unix_socket.h"

#define BACKLOG_MAX 4096

/* ---- sockets ---- */

static int make_socket(int type, int *ret, struct crs_error *err)
{
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't make a unix socket");
    *ret = fd;
    return 0;
}

static struct unix_made *peer_of(const struct unix_set *set, const struct unix_made *item)
{
    return item->m->state == CRS__UNIX_STATE__UNIX_CONNECTED ? unix_set_find(set, item->m->peer)
                                                             : NULL;
}

/* ---- abstract names of accepted sockets ---- */

/* The name can't be bound a second time; who accepts hands it on. */
static const ProtobufCBinaryData *inherited_name(const struct unix_made *item)
{
    const Crs__UnixSocket *m = item->m;

    if (item->fd >= 0 || m->type == SOCK_DGRAM)
        return NULL;
    if (m->name_shared && unix_name_is_abstract(&m->name) &&
        (m->state == CRS__UNIX_STATE__UNIX_CONNECTED ||
         m->state == CRS__UNIX_STATE__UNIX_PEER_CLOSED))
        return &m->name;
    if (m->state == CRS__UNIX_STATE__UNIX_PEER_CLOSED && unix_name_is_abstract(&m->peer_name))
        return &m->peer_name;
    return NULL;
}

/* Others may connect to the name meanwhile: they are sent away. */
static int accept_own(int listener, int *ret)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return -errno;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == getpid()) {
            *ret = fd;
            return 0;
        }
        close(fd);
    }
}

static int accept_item(struct unix_set *set, struct unix_made *item, int listener,
                       const struct sockaddr_un *address, socklen_t size, struct crs_error *err)
{
    struct unix_made *peer = peer_of(set, item);
    _cleanup_close_ int connector = -1;
    int acceptor = -1;

    int r = make_socket(item->m->type, &connector, err);
    if (r < 0)
        return r;
    if (connect(connector, (const struct sockaddr *)address, size) < 0 ||
        accept_own(listener, &acceptor) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't connect two unix sockets");
    bool own = item->m->name_shared;
    item->named = own;
    *(own ? &item->fd : &item->other) = acceptor;
    *(!own ? &item->fd : peer ? &peer->fd : &item->other) = TAKE_FD(connector);
    return 0;
}

/* All that inherit the name of items[first], by a socket that listens for a moment. */
static int accept_all(struct unix_set *set, size_t first, struct crs_error *err)
{
    const ProtobufCBinaryData *name = inherited_name(&set->items[first]);
    _cleanup_close_ int listener = -1;
    struct sockaddr_un address;
    socklen_t size = unix_address(name, &address);
    int r = make_socket(set->items[first].m->type, &listener, err);

    if (r == 0 && (bind(listener, (struct sockaddr *)&address, size) < 0 ||
                   listen(listener, BACKLOG_MAX) < 0))
        return 0; /* in use; unix_name_restore() warns */
    for (size_t i = first; r == 0 && i < set->n; i++) {
        struct unix_made *item = &set->items[i];
        const ProtobufCBinaryData *own = inherited_name(item);
        if (own && own->len == name->len && memcmp(own->data, name->data, own->len) == 0 &&
            item->m->type == set->items[first].m->type)
            r = accept_item(set, item, listener, &address, size, err);
    }
    return r;
}

/* ---- connections ---- */

int unix_reconnect(const struct unix_made *item, int fd)
{
    const Crs__UnixSocket *m = item->m;
    struct sockaddr_un address;
    socklen_t size = unix_address(&m->peer_name, &address);

    if (m->peer_name.data[0] != 0 && m->peer_name.data[0] != '/') {
        _cleanup_free_ char *path =
            format_string("%s/%.*s", m->peer_directory, (int)m->peer_name.len, m->peer_name.data);
        return path ? unix_connect_place(fd, path) : -ENOMEM;
    }
    return connect(fd, (struct sockaddr *)&address, size) < 0 ? -errno : 0;
}

/* A server that doesn't answer isn't waited for. */
static int make_reconnected(struct kobj_restore *ctx, struct unix_set *set, struct unix_made *item,
                            struct crs_error *err)
{
    char words[128];
    int r = make_socket(item->m->type | SOCK_NONBLOCK, &item->fd, err);

    if (r == 0)
        r = unix_name_restore(ctx, set, item, err);
    if (r < 0)
        return r;
    r = unix_reconnect(item, item->fd);
    if (r == 0)
        return 0;
    kobj_warn(ctx->progress, ctx->progress_arg,
              "can't connect to %s again, the connection is closed: %s",
              unix_name_words(&item->m->peer_name, words, sizeof(words)), strerror(-r));
    cleanup_close(&item->fd);
    item->fd = -1;
    item->named = false;
    free(TAKE_PTR(item->place));
    item->m->state = CRS__UNIX_STATE__UNIX_PEER_CLOSED;
    item->m->shutdown = 3;
    return unix_make_pair(ctx, item->m, NULL, &item->fd, &item->other, err);
}

static int make_one(struct kobj_restore *ctx, struct unix_set *set, struct unix_made *item,
                    struct crs_error *err)
{
    struct unix_made *peer = peer_of(set, item);

    if (item->fd >= 0 || item->m->type == SOCK_DGRAM)
        return 0;
    if (peer)
        return unix_make_pair(ctx, item->m, peer->m, &item->fd, &peer->fd, err);
    if (item->m->state == CRS__UNIX_STATE__UNIX_PEER_CLOSED)
        return unix_make_pair(ctx, item->m, NULL, &item->fd, &item->other, err);
    if (item->m->state == CRS__UNIX_STATE__UNIX_RECONNECT)
        return make_reconnected(ctx, set, item, err);
    return make_socket(item->m->type, &item->fd, err);
}

/* The end that is gone had a name, which the one that is left still tells. */
static void name_other(struct kobj_restore *ctx, struct unix_set *set, struct unix_made *item)
{
    const Crs__UnixSocket *m = item->m;
    char words[128];

    if (item->other < 0 || m->type == SOCK_DGRAM || unix_name_is_abstract(&m->peer_name) ||
        m->peer_name.len == 0)
        return;
    int r = unix_name_private(set, item->other, &m->peer_name, NULL);
    if (r < 0)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "the other end of a unix socket, which is closed, had the name %s and has none "
                  "now: %s",
                  unix_name_words(&m->peer_name, words, sizeof(words)), strerror(-r));
}

int unix_restore_make(struct kobj_restore *ctx, struct unix_set *set, struct crs_error *err)
{
    int r = 0;

    set->made = true;
    for (size_t i = 0; r == 0 && i < set->n; i++)
        if (inherited_name(&set->items[i]))
            r = accept_all(set, i, err);
    for (size_t i = 0; r == 0 && i < set->n; i++)
        r = make_one(ctx, set, &set->items[i], err);
    if (r == 0)
        r = unix_datagrams_make(ctx, set, err);
    for (size_t i = 0; r == 0 && i < set->n; i++) {
        name_other(ctx, set, &set->items[i]);
        r = unix_name_restore(ctx, set, &set->items[i], err);
    }
    return r;
}

/* ---- when all files are there ---- */

static int fill(struct kobj_restore *ctx, struct unix_set *set, const struct unix_made *item,
                struct crs_error *err)
{
    const struct unix_made *peer = peer_of(set, item);

    if (item->m->type == SOCK_DGRAM || item->m->n_queue == 0)
        return 0;
    return unix_send_queue(ctx, peer ? peer->fd : item->other, item->m, err);
}

int unix_destination_open(const struct unix_made *item, struct unix_destination *ret)
{
    ret->fd = -1;
    if (unix_name_is_abstract(&item->m->name)) {
        ret->size = unix_address(&item->m->name, &ret->address);
        return 0;
    }
    ret->fd = item->place ? open(item->place, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (ret->fd < 0)
        return item->place ? -errno : -ENOENT;
    ret->address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret->address.sun_path, sizeof(ret->address.sun_path), "/proc/self/fd/%d", ret->fd);
    ret->size = sizeof(ret->address);
    return 0;
}

static int connect_waiting(struct unix_set *set, const struct unix_made *listener,
                           const struct unix_destination *to, uint32_t file, struct crs_error *err)
{
    const struct unix_made *client = file ? unix_set_find(set, file) : NULL;
    _cleanup_close_ int closed = -1;
    int r = client ? 0 : make_socket(listener->m->type, &closed, err);

    if (r == 0 &&
        connect(client ? client->fd : closed, (const struct sockaddr *)&to->address, to->size) < 0)
        r = crs_fail_errno(err, CRS_CANT_RESTART, "can't connect to a unix socket again");
    return r;
}

/* Connections that wait to be accepted, in their order. */
static int listen_again(struct unix_set *set, const struct unix_made *item, struct crs_error *err)
{
    const Crs__UnixSocket *m = item->m;
    struct unix_destination to = {.fd = -1};
    int r = 0;

    if (m->state != CRS__UNIX_STATE__UNIX_LISTENING)
        return 0;
    if (listen(item->fd, BACKLOG_MAX) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't listen on a unix socket");
    if (m->n_waiting > 0)
        r = unix_destination_open(item, &to);
    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r,
                        "can't connect to a unix socket that has no name any more: %s",
                        strerror(-r));
    for (size_t i = 0; r == 0 && i < m->n_waiting; i++)
        r = connect_waiting(set, item, &to, m->waiting[i], err);
    cleanup_close(&to.fd);
    if (r == 0 && listen(item->fd, m->backlog) < 0)
        r = crs_fail_errno(err, CRS_CANT_RESTART, "can't listen on a unix socket");
    return r;
}

/* What was never read by the end that is gone makes the closing a reset. */
static void close_other(struct unix_made *item)
{
    if (item->other < 0)
        return;
    if (item->m->reset && send(item->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        errno = 0; /* nothing can be in the way of one byte */
    cleanup_close(&item->other);
    item->other = -1;
}

static int finish_one(struct unix_made *item, struct crs_error *err)
{
    unsigned closed = item->m->shutdown;

    close_other(item);
    if (closed > 0 && shutdown(item->fd, (int)closed - 1) < 0 && errno != ENOTCONN)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't shut down a unix socket");
    return unix_options_restore(item->fd, item->m, item->record->name, err);
}

int unix_restore_finish(struct kobj_restore *ctx, struct crs_error *err)
{
    struct unix_set *set = ctx->unix_sockets;
    int r = 0;

    if (!set || !set->made)
        return 0;
    r = unix_datagrams_finish(ctx, set, err);
    for (size_t i = 0; r == 0 && i < set->n; i++)
        r = fill(ctx, set, &set->items[i], err);
    for (size_t i = 0; r == 0 && i < set->n; i++)
        r = listen_again(set, &set->items[i], err);
    for (size_t i = 0; r == 0 && i < set->n; i++)
        r = finish_one(&set->items[i], err);
    return r;
}
