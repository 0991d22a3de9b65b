/*
 * unix_guess.c - the other end of a unix socket, without sock_diag
 *
 * /proc/net/unix says which sockets there are, which of them are connected, and their names. That
 * is enough where only one can be the other end.
 */
#include <poll.h>
#include <string.h>

#include "kobj/unix_socket.h"

#define BACKLOG 4096 /* the most that a usual machine allows; what was asked for can't be told */

static int refuse(const struct open_file *file, struct crs_error *err, const char *reason)
{
    return file_refuse(file, err, reason,
                       "load the kernel's module unix_diag, and let this tool use netlink sockets");
}

/* In the table zero bytes of a name are '@'. */
static bool is_name(const struct bytes *listed, const ProtobufCBinaryData *name)
{
    if (listed->size != name->len)
        return false;
    for (size_t i = 0; i < name->len; i++)
        if (listed->data[i] != (name->data[i] ? name->data[i] : '@'))
            return false;
    return true;
}

static bool may_be_peer(const struct unix_entry *e, uint64_t own, const Crs__UnixSocket *m)
{
    return e->inode != own && e->type == m->type && !e->listening &&
           (e->connected || m->type == SOCK_DGRAM) && is_name(&e->name, &m->peer_name);
}

static int guess_peer(const struct unix_table *table, const struct open_file *file,
                      const Crs__UnixSocket *m, struct unix_entry *ret, struct crs_error *err)
{
    size_t n = 0;

    ret->has_peer = true;
    ret->peer = 0;
    for (size_t i = 0; i < table->entries.n; i++) {
        if (!may_be_peer(&table->entries.items[i], ret->inode, m))
            continue;
        ret->peer = table->entries.items[i].inode;
        n++;
    }
    if (n > 1 || (n == 1 && ret->peer == 0))
        return refuse(file, err, "its other end can't be told");
    return 0;
}

static int guess_listening(const struct open_file *file, struct unix_entry *ret,
                           struct crs_error *err)
{
    struct pollfd p = {.fd = file->dup_fd, .events = POLLIN};

    if (poll(&p, 1, 0) == 1 && (p.revents & POLLIN))
        return refuse(file, err, "connections wait to be accepted, and can't be told apart");
    ret->backlog = BACKLOG;
    return 0;
}

int unix_guess(struct kobj_dump *ctx, const struct open_file *file, const struct unix_entry *entry,
               const Crs__UnixSocket *m, struct unix_entry *ret, struct crs_error *err)
{
    struct sockaddr_un address;
    socklen_t size = sizeof(address);

    *ret = *entry;
    if (entry->listening)
        return guess_listening(file, ret, err);
    if (getpeername(file->dup_fd, (struct sockaddr *)&address, &size) < 0)
        return 0;
    return guess_peer(ctx->unix_table, file, m, ret, err);
}
