/* unix_set.c - all unix sockets of a snapshot, checked against each other */
#include <stdlib.h>
#include <string.h>

#include "kobj/unix_socket.h"

void unix_set_free(struct unix_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->n; i++) {
        struct unix_made *item = &set->items[i];
        if (!item->given)
            cleanup_close(&item->fd);
        cleanup_close(&item->other);
        free(item->place);
        if (item->m)
            crs__unix_socket__free_unpacked(item->m, NULL);
    }
    unix_name_end(set);
    unix_table_free(set->table);
    free(set->items);
    free(set->by_file);
    free(set);
}
DEFINE_CLEANUP(struct unix_set, unix_set)

static int load(struct kobj_restore *ctx, struct unix_set *set, struct crs_error *err)
{
    size_t n = ctx->files->n_files;
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        const Crs__OpenFile *record = ctx->files->files[i];
        set->by_file[i] = UNIX_NOBODY;
        if (strcmp(record->kind, kobj_unix_socket.name) != 0)
            continue;
        set->by_file[i] = set->n;
        struct unix_made *item = &set->items[set->n++];
        *item = (struct unix_made){.record = record, .fd = -1, .other = -1, .partner = UNIX_NOBODY};
        r = file_unpack(record, &crs__unix_socket__descriptor, (ProtobufCMessage **)&item->m, err);
    }
    return r;
}

int unix_set_get(struct kobj_restore *ctx, struct unix_set **ret, struct crs_error *err)
{
    if (ctx->unix_sockets) {
        *ret = ctx->unix_sockets;
        return 0;
    }
    _cleanup_(cleanup_unix_set) struct unix_set *set = calloc(1, sizeof(*set));
    if (!set)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    set->items = calloc(ctx->files->n_files + 1, sizeof(*set->items));
    set->by_file = calloc(ctx->files->n_files + 1, sizeof(*set->by_file));
    if (!set->items || !set->by_file)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = load(ctx, set, err);
    if (r < 0)
        return r;
    *ret = ctx->unix_sockets = TAKE_PTR(set);
    return 0;
}

struct unix_made *unix_set_find(const struct unix_set *set, uint32_t file)
{
    size_t at = set->by_file[file - 1];

    return at == UNIX_NOBODY ? NULL : &set->items[at];
}

/* ---- checks ---- */

static int damaged(const struct unix_made *item, struct crs_error *err, const char *what)
{
    return crs_fail(err, CRS_DAMAGED, EBADMSG, "file %u (%s): %s", item->record->id,
                    item->record->name, what);
}

/* A file number as in the record: in range, and a unix socket. NULL: it isn't. */
static const struct unix_made *other_of(const struct unix_set *set, const struct kobj_restore *ctx,
                                        uint32_t file)
{
    return file_find(ctx, file) ? unix_set_find(set, file) : NULL;
}

static int check_peer(const struct unix_set *set, const struct unix_made *item,
                      const struct kobj_restore *ctx, struct crs_error *err)
{
    const Crs__UnixSocket *m = item->m;
    bool connected = m->state == CRS__UNIX_STATE__UNIX_CONNECTED;

    if (!connected && m->state != CRS__UNIX_STATE__UNIX_WAITING)
        return 0;
    const struct unix_made *peer = other_of(set, ctx, m->peer);
    if (!peer || peer->m->type != m->type)
        return damaged(item, err, "it is connected to no socket of its type");
    if (m->type == SOCK_DGRAM)
        return connected ? 0 : damaged(item, err, "datagrams aren't accepted");
    if (!connected)
        return peer->m->state == CRS__UNIX_STATE__UNIX_LISTENING
                   ? 0
                   : damaged(item, err, "it waits for a socket that doesn't listen");
    if (peer == item || peer->m->state != m->state || peer->m->peer != item->record->id)
        return damaged(item, err, "it isn't its other end's other end");
    return 0;
}

static int check_listening(const struct unix_set *set, const struct unix_made *item,
                           const struct kobj_restore *ctx, struct crs_error *err)
{
    const Crs__UnixSocket *m = item->m;

    if (m->state != CRS__UNIX_STATE__UNIX_LISTENING)
        return m->n_waiting == 0 ? 0 : damaged(item, err, "it accepts without listening");
    if (m->type == SOCK_DGRAM || m->name.len == 0)
        return damaged(item, err, "it can't listen");
    for (size_t i = 0; i < m->n_waiting; i++) {
        const struct unix_made *client = m->waiting[i] ? other_of(set, ctx, m->waiting[i]) : NULL;
        if (m->waiting[i] && (!client || client->m->state != CRS__UNIX_STATE__UNIX_WAITING ||
                              client->m->peer != item->record->id))
            return damaged(item, err, "what it is to accept doesn't wait for it");
    }
    return 0;
}

static bool is_name(const ProtobufCBinaryData *name)
{
    return name->len <= sizeof(((struct sockaddr_un *)0)->sun_path) &&
           (unix_name_is_abstract(name) || name->len == 0 || !memchr(name->data, 0, name->len));
}

static int check_queue(const struct unix_made *item, const struct kobj_restore *ctx,
                       struct crs_error *err)
{
    const Crs__UnixSocket *m = item->m;

    if (m->n_queue > 0 && m->type != SOCK_DGRAM && m->state != CRS__UNIX_STATE__UNIX_CONNECTED &&
        m->state != CRS__UNIX_STATE__UNIX_PEER_CLOSED)
        return damaged(item, err, "data waits in it, and it isn't connected");
    for (size_t i = 0; i < m->n_queue; i++) {
        const Crs__UnixMessage *message = m->queue[i];
        if (message->n_files > UNIX_MAX_FDS || !is_name(&message->sender) ||
            (m->type == SOCK_STREAM && message->data.len == 0) ||
            (m->type != SOCK_STREAM && message->urgent))
            return damaged(item, err, "there can't be such a message");
        for (size_t j = 0; j < message->n_files; j++)
            if (!file_find(ctx, message->files[j]))
                return damaged(item, err, "a file on its way through it isn't there");
    }
    return 0;
}

int unix_set_check(const struct unix_set *set, const struct unix_made *item,
                   const struct kobj_restore *ctx, struct crs_error *err)
{
    const Crs__UnixSocket *m = item->m;

    if ((m->type != SOCK_STREAM && m->type != SOCK_DGRAM && m->type != SOCK_SEQPACKET) ||
        m->shutdown > 3 || m->backlog > INT32_MAX)
        return damaged(item, err, "there can't be such a unix socket");
    if (!is_name(&m->name) || !is_name(&m->peer_name) ||
        (m->file && (m->name.len == 0 || m->name.data[0] == 0)) ||
        (m->file && m->name.data[0] != '/' && m->directory[0] != '/') ||
        (m->state == CRS__UNIX_STATE__UNIX_RECONNECT && m->peer_name.len == 0))
        return damaged(item, err, "its name can't be one");
    int r = check_peer(set, item, ctx, err);
    if (r == 0)
        r = check_listening(set, item, ctx, err);
    if (r == 0)
        r = check_queue(item, ctx, err);
    return r;
}
