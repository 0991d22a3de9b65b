/*
 * unix_datagram.c - unix datagram sockets are made again
 *
 * "Connected" says where such a socket sends to, and that it takes nothing from others. So what
 * waits in it is sent first, and it is connected after all that are connected to it. An end without
 * a name can be connected to only by making both as a pair.
 */
#include <stdlib.h>
#include <string.h>

#include "kobj/unix_socket.h"

static bool is_in(const struct unix_made *item)
{
    return item->m->type == SOCK_DGRAM;
}

static bool connects_to(const struct unix_made *item, const struct unix_made *to)
{
    return item->m->state == CRS__UNIX_STATE__UNIX_CONNECTED && item->m->peer == to->record->id;
}

static struct unix_made *target_of(const struct unix_set *set, const struct unix_made *item)
{
    return item->m->state == CRS__UNIX_STATE__UNIX_CONNECTED ? unix_set_find(set, item->m->peer)
                                                             : NULL;
}

/* ---- make ---- */

static int make_pair(struct kobj_restore *ctx, struct unix_set *set, struct unix_made *item,
                     struct unix_made *to, struct crs_error *err)
{
    if (item->fd >= 0 || to->fd >= 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "two unix sockets are connected to one without a name");
    int r = unix_make_pair(ctx, item->m, to->m, &item->fd, &to->fd, err);
    if (r < 0)
        return r;
    item->partner = to - set->items;
    to->partner = item - set->items;
    return 0;
}

/* The end at which it was connected is gone, or was; it may hold more than a stranger may send. */
static bool is_orphan(const struct unix_made *item)
{
    const Crs__UnixSocket *m = item->m;

    return (m->state == CRS__UNIX_STATE__UNIX_PEER_CLOSED && m->peer_name.len == 0) ||
           (m->state == CRS__UNIX_STATE__UNIX_UNCONNECTED && m->name.len == 0 && m->n_queue > 0);
}

static int make_plain(int *ret_fd, struct crs_error *err)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't make a unix socket");
    *ret_fd = fd;
    return 0;
}

int unix_datagrams_make(struct kobj_restore *ctx, struct unix_set *set, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < set->n; i++) {
        struct unix_made *item = &set->items[i], *to = target_of(set, item);
        bool mutual = to && to != item && connects_to(to, item);
        if (is_in(item) && to && item->partner == UNIX_NOBODY && (mutual || to->m->name.len == 0))
            r = make_pair(ctx, set, item, to, err);
    }
    for (size_t i = 0; r == 0 && i < set->n; i++) {
        struct unix_made *item = &set->items[i];
        if (is_in(item) && item->fd < 0)
            r = is_orphan(item) ? unix_make_pair(ctx, item->m, NULL, &item->fd, &item->other, err)
                                : make_plain(&item->fd, err);
    }
    return r;
}

/* ---- what waits to be read ---- */

static bool is_sender(const struct unix_made *item, const ProtobufCBinaryData *name)
{
    return is_in(item) && item->m->name.len == name->len &&
           (name->len == 0 || memcmp(item->m->name.data, name->data, name->len) == 0);
}

/* A socket of the snapshot with the sender's name; one without a name, if it sends here. */
static const struct unix_made *find_sender(const struct unix_set *set, const struct unix_made *to,
                                           const ProtobufCBinaryData *name)
{
    for (size_t i = 0; i < set->n; i++)
        if (is_sender(&set->items[i], name) && (name->len > 0 || connects_to(&set->items[i], to)))
            return &set->items[i];
    return NULL;
}

/* One that has the sender's name and isn't in the snapshot (any more). */
static int make_sender(struct kobj_restore *ctx, struct unix_set *set,
                       const ProtobufCBinaryData *name, int *ret_fd, struct crs_error *err)
{
    char words[128];
    int r = make_plain(ret_fd, err);

    if (r < 0 || name->len == 0)
        return r;
    r = unix_name_private(set, *ret_fd, name, NULL);
    if (r < 0)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "a message that waits in a unix socket came from %s and is from nobody now: %s",
                  unix_name_words(name, words, sizeof(words)), strerror(-r));
    return 0;
}

static int fill_by_name(struct kobj_restore *ctx, struct unix_set *set,
                        const struct unix_made *item, struct crs_error *err)
{
    struct unix_destination to;
    int r = unix_destination_open(item, &to);

    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r,
                        "what was waiting to be read in a unix socket without a name can't be put "
                        "back: %s",
                        strerror(-r));
    for (size_t i = 0; r == 0 && i < item->m->n_queue; i++) {
        const Crs__UnixMessage *message = item->m->queue[i];
        const struct unix_made *sender = find_sender(set, item, &message->sender);
        _cleanup_close_ int stranger = -1;
        if (!sender)
            r = make_sender(ctx, set, &message->sender, &stranger, err);
        if (r == 0)
            r = unix_send_message(ctx, sender ? sender->fd : stranger, &to, item->m, message, err);
    }
    cleanup_close(&to.fd);
    return r;
}

static int fill(struct kobj_restore *ctx, struct unix_set *set, const struct unix_made *item,
                struct crs_error *err)
{
    if (!is_in(item) || item->m->n_queue == 0)
        return 0;
    if (item->other >= 0)
        return unix_send_queue(ctx, item->other, item->m, err);
    if (item->partner != UNIX_NOBODY)
        return unix_send_queue(ctx, set->items[item->partner].fd, item->m, err);
    return fill_by_name(ctx, set, item, err);
}

/* ---- connect ---- */

/* Made as the other half of a pair, it doesn't send there itself (any more). */
static int unpair(struct kobj_restore *ctx, struct unix_set *set, struct unix_made *item,
                  struct crs_error *err)
{
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

    if (!is_in(item) || item->partner == UNIX_NOBODY)
        return 0;
    struct unix_made *partner = &set->items[item->partner];
    if (connects_to(item, partner))
        return 0;
    /* What it has sent there goes first; being disconnected takes what waits in it. */
    int r = fill(ctx, set, partner, err);
    partner->filled = true;
    if (r == 0 && connect(item->fd, &nowhere, sizeof(nowhere)) < 0)
        r = crs_fail_errno(err, CRS_CANT_RESTART, "can't disconnect a unix socket");
    if (r == 0)
        r = fill(ctx, set, item, err);
    item->filled = true;
    item->partner = UNIX_NOBODY;
    return r;
}

static int connect_to(struct unix_set *set, struct unix_made *item, struct unix_made *to,
                      struct crs_error *err)
{
    struct unix_destination address;
    int r = unix_destination_open(to, &address);

    if (r == 0 && connect(item->fd, (struct sockaddr *)&address.address, address.size) < 0)
        r = -errno;
    cleanup_close(&address.fd);
    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r, "can't connect two unix sockets: %s",
                        strerror(-r));
    item->partner = to - set->items;
    return 0;
}

/* One that is connected takes no connections of others any more. */
static int connect_all(struct unix_set *set, struct crs_error *err)
{
    _cleanup_free_ size_t *expected = calloc(set->n + 1, sizeof(*expected)); /* by others */
    size_t left = 0;
    int r = 0;

    if (!expected)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; i < set->n; i++) {
        const struct unix_made *to = target_of(set, &set->items[i]);
        if (!is_in(&set->items[i]) || !to || set->items[i].partner != UNIX_NOBODY)
            continue;
        expected[to - set->items] += to != &set->items[i];
        left++;
    }
    for (size_t before = SIZE_MAX; r == 0 && left > 0 && left < before;) {
        before = left;
        for (size_t i = 0; r == 0 && i < set->n; i++) {
            struct unix_made *item = &set->items[i], *to = target_of(set, item);
            if (!is_in(item) || !to || item->partner != UNIX_NOBODY || expected[i] > 0)
                continue;
            r = connect_to(set, item, to, err);
            expected[to - set->items] -= to != item;
            left--;
        }
    }
    if (r == 0 && left > 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "unix sockets are connected in a circle");
    return r;
}

/* Connected to one that is closed then. */
static int connect_closed(struct unix_set *set, struct unix_made *item, struct crs_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(sa_family_t);
    _cleanup_free_ char *place = NULL;
    int r = make_plain(&item->other, err);

    if (r < 0)
        return r;
    r = unix_name_private(set, item->other, &item->m->peer_name, &place);
    if (r == 0 && place) {
        r = unix_connect_place(item->fd, place);
    } else { /* any name serves, where its own can't be had */
        if (r < 0 && bind(item->other, (struct sockaddr *)&address, size) < 0)
            return crs_fail_errno(err, CRS_CANT_RESTART, "can't give a unix socket a name");
        size = sizeof(address);
        getsockname(item->other, (struct sockaddr *)&address, &size);
        r = connect(item->fd, (struct sockaddr *)&address, size) < 0 ? -errno : 0;
    }
    return r < 0 ? crs_fail(err, CRS_CANT_RESTART, -r, "can't connect a unix socket: %s",
                            strerror(-r))
                 : 0;
}

static int connect_outside(struct kobj_restore *ctx, struct unix_set *set, struct unix_made *item,
                           struct crs_error *err)
{
    char words[128];
    int r = unix_reconnect(item, item->fd);

    if (r == 0)
        return 0;
    kobj_warn(ctx->progress, ctx->progress_arg,
              "can't connect to %s again, the connection is closed: %s",
              unix_name_words(&item->m->peer_name, words, sizeof(words)), strerror(-r));
    return connect_closed(set, item, err);
}

/* The kernel forgets an end that is gone when it is sent to. */
static void forget_other(struct unix_made *item)
{
    cleanup_close(&item->other);
    item->other = -1;
    if (send(item->fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        errno = 0;
}

static int connect_rest(struct kobj_restore *ctx, struct unix_set *set, struct unix_made *item,
                        struct crs_error *err)
{
    const Crs__UnixSocket *m = item->m;

    if (m->state == CRS__UNIX_STATE__UNIX_RECONNECT)
        return connect_outside(ctx, set, item, err);
    if (m->state == CRS__UNIX_STATE__UNIX_PEER_CLOSED && item->other < 0)
        return connect_closed(set, item, err);
    if (m->state == CRS__UNIX_STATE__UNIX_UNCONNECTED && item->other >= 0)
        forget_other(item);
    return 0;
}

int unix_datagrams_finish(struct kobj_restore *ctx, struct unix_set *set, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < set->n; i++)
        r = unpair(ctx, set, &set->items[i], err);
    for (size_t i = 0; r == 0 && i < set->n; i++)
        if (!set->items[i].filled)
            r = fill(ctx, set, &set->items[i], err);
    if (r == 0)
        r = connect_all(set, err);
    for (size_t i = 0; r == 0 && i < set->n; i++)
        if (is_in(&set->items[i]))
            r = connect_rest(ctx, set, &set->items[i], err);
    return r;
}
