/*
 * unix_socket.c - unix sockets: pairs, named, listening, with what waits in them to be read
 *
 * unix_table.c knows who is connected to whom, unix_peer.c what that means for the snapshot;
 * unix_queue.c reads what waits, unix_name.c deals with names, unix_restore.c makes them again.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kobj/unix_socket.h"

static bool match(const struct open_file *file)
{
    int domain = -1;
    socklen_t size = sizeof(domain);

    return S_ISSOCK(file->st.st_mode) && !(file->flags & O_PATH) &&
           getsockopt(file->dup_fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
           domain == AF_UNIX;
}

/* ---- checkpoint ---- */

int unix_dump_table(struct kobj_dump *ctx, const struct unix_table **ret, struct crs_error *err)
{
    int r = ctx->unix_table ? 0 : unix_table_read(&ctx->unix_table, err);

    if (r == 0)
        *ret = ctx->unix_table;
    return r;
}

void unix_dump_end(struct kobj_dump *ctx)
{
    unix_guard_end(ctx);
    unix_table_free(ctx->unix_table);
    ctx->unix_table = NULL;
}

const struct open_file *unix_find_file(const struct kobj_dump *ctx, uint64_t inode)
{
    const struct unix_entry *entry = unix_table_find(ctx->unix_table, inode);

    return entry && entry->file ? &ctx->files.items[entry->file - 1] : NULL;
}

pid_t unix_inner_pid(const struct kobj_dump *ctx, pid_t pid)
{
    const struct tracee *member = pid > 0 ? kobj_find_member(ctx, pid) : NULL;

    if (member)
        return member->inner_pid;
    return ctx->t->pid == ctx->t->inner_pid ? pid : 0; /* in our namespace all are called alike */
}

/* Of our network namespace? Before Linux 5.14 the table alone tells. */
static int find_entry(struct kobj_dump *ctx, const struct open_file *file, struct unix_entry **ret,
                      struct crs_error *err)
{
    const struct unix_table *table = NULL;
    int r = unix_dump_table(ctx, &table, err);

    if (r < 0)
        return r;
    *ret = unix_table_find(table, file->st.st_ino);
    if (*ret && unix_network_of(file->dup_fd) == table->network)
        return 0;
    return file_refuse(file, err, "it belongs to another network namespace",
                       "run the checkpoint in the program's network namespace");
}

/* As far as the table doesn't tell: sending alone can't be seen. */
static unsigned shutdown_seen(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};

    if (poll(&p, 1, 0) != 1)
        return 0;
    return (p.revents & POLLHUP) ? 3 : (p.revents & POLLRDHUP) ? 1 : 0;
}

static int explore(struct kobj_dump *ctx, const struct open_file *file,
                   ProtobufCMessage **ret_found, struct crs_error *err)
{
    struct unix_entry *entry;
    int type = 0;
    socklen_t size = sizeof(type);

    if (getsockopt(file->dup_fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
        return file_refuse_errno(file, err, "read its type");
    int r = find_entry(ctx, file, &entry, err);
    if (r < 0)
        return r;
    entry->file = file->id;
    Crs__UnixSocket *m = malloc(sizeof(*m));
    if (!m)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__unix_socket__init(m);
    m->type = type;
    *ret_found = &m->base; /* owned by the file from here on */
    m->shutdown = ctx->unix_table->exact ? entry->shutdown : shutdown_seen(file->dup_fd);
    if (type != SOCK_DGRAM && !entry->connected)
        return 0;
    return unix_queue_read(ctx, file, m, err);
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    Crs__UnixSocket *m = (Crs__UnixSocket *)file->found;
    int r = unix_name_dump(ctx, file, m, err);

    if (r == 0)
        r = unix_peer_dump(ctx, file, m, err);
    if (r == 0)
        r = unix_options_dump(file, m, err);
    return r == 0 ? kobj_pack(&m->base, ret_payload, err) : r;
}

/* ---- restart ---- */

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    struct unix_set *set;
    int r = unix_set_get(ctx, &set, err);

    if (r < 0)
        return r;
    struct unix_made *item = unix_set_find(set, record->id);
    r = unix_set_check(set, item, ctx, err);
    return r == 0 ? unix_name_check(set, item, ctx->own_net, err) : r;
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    struct unix_set *set;
    int r = unix_set_get(ctx, &set, err);

    if (r == 0 && !set->made)
        r = unix_restore_make(ctx, set, err);
    if (r < 0)
        return r;
    struct unix_made *item = unix_set_find(set, record->id);
    r = file_set_flags(item->fd, record, err);
    if (r < 0)
        return r;
    item->given = true;
    *ret_fd = item->fd;
    return 0;
}

void unix_restore_end(struct kobj_restore *ctx)
{
    unix_set_free(ctx->unix_sockets);
    ctx->unix_sockets = NULL;
}

/* Who called listen() last is who connecting sockets see as their peer. */
static int connect_listening(struct kobj_restore *ctx, const Crs__OpenFile *record, int fd,
                             struct crs_error *err)
{
    Crs__UnixSocket *m;
    int r = file_unpack(record, &crs__unix_socket__descriptor, (ProtobufCMessage **)&m, err);

    if (r < 0)
        return r;
    if (m->state == CRS__UNIX_STATE__UNIX_LISTENING)
        r = REMOTE_CHECKED(tracee_main(ctx->t), NULL, err, CRS_CANT_RESTART,
                           "listen on a unix socket", SYS_listen, fd, m->backlog);
    crs__unix_socket__free_unpacked(m, NULL);
    return r;
}

/* ---- words ---- */

static const char *state_words(const Crs__UnixSocket *m, char *text, size_t size)
{
    switch (m->state) {
    case CRS__UNIX_STATE__UNIX_LISTENING:
        snprintf(text, size, "listens, %zu to accept", m->n_waiting);
        break;
    case CRS__UNIX_STATE__UNIX_CONNECTED:
        snprintf(text, size, "to file %u", m->peer);
        break;
    case CRS__UNIX_STATE__UNIX_WAITING:
        snprintf(text, size, "to be accepted by file %u", m->peer);
        break;
    case CRS__UNIX_STATE__UNIX_PEER_CLOSED:
        snprintf(text, size, "other end closed");
        break;
    case CRS__UNIX_STATE__UNIX_RECONNECT:
        snprintf(text, size, "to be connected again");
        break;
    default:
        snprintf(text, size, "not connected");
    }
    return text;
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__UnixSocket *m;
    char name[128], state[64];
    size_t waiting = 0, files = 0;
    int r = file_unpack(record, &crs__unix_socket__descriptor, (ProtobufCMessage **)&m, NULL);

    if (r < 0)
        return r;
    for (size_t i = 0; i < m->n_queue; i++) {
        waiting += m->queue[i]->data.len;
        files += m->queue[i]->n_files;
    }
    int n = snprintf(text, size, "%s%s%s, %s",
                     m->type == SOCK_STREAM  ? "stream"
                     : m->type == SOCK_DGRAM ? "datagrams"
                                             : "records",
                     m->name.len ? " " : "", unix_name_words(&m->name, name, sizeof(name)),
                     state_words(m, state, sizeof(state)));
    if (m->n_queue > 0 && (size_t)n < size)
        n += snprintf(text + n, size - n, ", %zu bytes in it", waiting);
    if (files > 0 && (size_t)n < size)
        snprintf(text + n, size - n, ", %zu descriptors on their way", files);
    crs__unix_socket__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_unix_socket = {
    .name = "unix-socket",
    .title = "unix socket",
    .saved = "with conditions",
    .conditions =
        "both ends are inside the program, or the other end is closed; with --unix=close or "
        "--unix=reconnect also one to another program. Not while data waits in a connection that "
        "the program hasn't accepted yet. For a connection between two processes, and for one that "
        "waits to be accepted, SO_PEERCRED tells the restarter's PID. An empty datagram that an "
        "earlier checkpoint has seen is hidden by the kernel until it is read, and is lost by a "
        "restart",
    .match = match,
    .explore = explore,
    .dump = dump,
    .check = check,
    .restore = restore,
    .connect = connect_listening,
    .describe = describe,
    .paths = {&crs__unix_socket__descriptor,
              "name directory peer_name peer_directory queue.sender"},
};
