/* unix_peer.c - who is at the other end of a unix socket, and what that means for the snapshot */
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "kobj/unix_socket.h"

static int peer_name(const struct open_file *file, ProtobufCBinaryData *ret)
{
    struct sockaddr_un address;
    socklen_t size = sizeof(address);

    if (getpeername(file->dup_fd, (struct sockaddr *)&address, &size) < 0)
        return errno == ENOTCONN ? 0 : -errno;
    return unix_name_copy(&address, size, ret);
}

/* ---- outside ---- */

static int refuse_outside(const struct open_file *file, uint64_t peer, const Crs__UnixSocket *m,
                          struct crs_error *err)
{
    char who[96], name[160], reason[400];

    snprintf(reason, sizeof(reason),
             "it is connected to %s%s%s, which isn't part of the checkpoint",
             unix_holder_words(peer, who, sizeof(who)), m->peer_name.len ? " by the name " : "",
             unix_name_words(&m->peer_name, name, sizeof(name)));
    return file_refuse(file, err, reason,
                       "close it before the checkpoint, or choose what becomes of it: "
                       "--unix=close or --unix=reconnect");
}

static void drop_queue(struct kobj_dump *ctx, const struct open_file *file, Crs__UnixSocket *m)
{
    char words[80];

    if (m->n_queue == 0)
        return;
    kobj_warn(ctx->progress, ctx->progress_arg,
              "%s (%s) is to be connected again: what waits in it to be read is lost then",
              file_words(file, words, sizeof(words)), file->link);
    for (size_t i = 0; i < m->n_queue; i++)
        crs__unix_message__free_unpacked(m->queue[i], NULL);
    free(m->queue);
    m->queue = NULL;
    m->n_queue = 0;
}

/* Is that the file that the other end is bound to? */
static bool is_file_of(const struct unix_table *table, uint64_t peer, const char *path)
{
    const struct unix_entry *entry = unix_table_find(table, peer);
    struct stat st;

    return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
           (!table->exact || !entry || st.st_dev != entry->file_dev ||
            (uint32_t)st.st_ino == entry->file_inode);
}

/* A relative name is of a directory of whoever bound it, if that is where it was then. */
static bool find_peer_directory(struct kobj_dump *ctx, const struct open_file *file, uint64_t peer,
                                Crs__UnixSocket *m)
{
    const pid_t pids[] = {unix_holder(peer),
                          file->in_flight ? ctx->t->pid : file_holder_task(file)};

    if (m->peer_name.data[0] == 0 || m->peer_name.data[0] == '/')
        return true;
    for (size_t i = 0; i < ELEMENTS(pids); i++) {
        char *directory = NULL, cwd[64];
        snprintf(cwd, sizeof(cwd), "/proc/%d/cwd", pids[i]);
        if (pids[i] == 0 || read_link(AT_FDCWD, cwd, &directory) < 0)
            continue;
        _cleanup_free_ char *path = format_string("%s/%.*s", directory, (int)m->peer_name.len,
                                                  (const char *)m->peer_name.data);
        if (path && is_file_of(ctx->unix_table, peer, path)) {
            m->peer_directory = directory;
            return true;
        }
        free(directory);
    }
    return false;
}

static bool can_reconnect(struct kobj_dump *ctx, const struct open_file *file, uint64_t peer,
                          Crs__UnixSocket *m)
{
    char words[80], name[160];

    if (m->peer_name.len > 0 && find_peer_directory(ctx, file, peer, m))
        return true;
    unix_name_words(&m->peer_name, name, sizeof(name));
    kobj_warn(ctx->progress, ctx->progress_arg,
              "%s (%s) can't be connected again, because its other end has no name%s%s%s: after a "
              "restart it is closed",
              file_words(file, words, sizeof(words)), file->link,
              name[0] ? " that leads there (" : "", name, name[0] ? ")" : "");
    return false;
}

static int dump_outside(struct kobj_dump *ctx, const struct open_file *file, uint64_t peer,
                        Crs__UnixSocket *m, struct crs_error *err)
{
    char words[80], who[96];

    if (ctx->unix_policy == CRS_UNIX_REFUSE)
        return refuse_outside(file, peer, m, err);
    if (ctx->unix_policy == CRS_UNIX_RECONNECT && can_reconnect(ctx, file, peer, m)) {
        m->state = CRS__UNIX_STATE__UNIX_RECONNECT;
        if (m->type != SOCK_DGRAM)
            drop_queue(ctx, file, m);
        return 0;
    }
    if (ctx->tell_closed && ctx->unix_policy == CRS_UNIX_CLOSE)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "%s is connected to %s, which isn't part of the checkpoint: after a restart it "
                  "is closed",
                  file_words(file, words, sizeof(words)),
                  unix_holder_words(peer, who, sizeof(who)));
    m->state = CRS__UNIX_STATE__UNIX_PEER_CLOSED;
    if (m->type != SOCK_DGRAM)
        m->shutdown = 3;
    return 0;
}

/* ---- a socket that listens ---- */

static int refuse_early(const struct open_file *file, struct crs_error *err)
{
    return file_refuse_for_now(
        file, err,
        "data was sent to it in a connection that the program hasn't accepted yet, "
        "which nobody else can read",
        "try again when the program has accepted it");
}

static bool has_name(const struct unix_entry *a, const struct unix_entry *b)
{
    return a->name.size == b->name.size && a->has_file == b->has_file &&
           a->file_inode == b->file_inode && a->file_dev == b->file_dev &&
           (a->name.size == 0 || memcmp(a->name.data, b->name.data, a->name.size) == 0);
}

/* Connections that aren't accepted have no inode, and stand first in the table. */
static bool has_early_data(const struct unix_table *table, const struct unix_entry *listener)
{
    for (size_t i = 0; i < table->entries.n && table->entries.items[i].inode == 0; i++)
        if (table->entries.items[i].waiting > 0 && has_name(&table->entries.items[i], listener))
            return true;
    return false;
}

static int dump_listening(struct kobj_dump *ctx, const struct open_file *file,
                          const struct unix_entry *entry, Crs__UnixSocket *m, struct crs_error *err)
{
    m->state = CRS__UNIX_STATE__UNIX_LISTENING;
    m->backlog = entry->backlog;
    if (has_early_data(ctx->unix_table, entry))
        return refuse_early(file, err);
    m->waiting = calloc(entry->n_queued + 1, sizeof(*m->waiting));
    if (!m->waiting)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; i < entry->n_queued; i++) {
        const struct open_file *client = unix_find_file(ctx, entry->queued[i]);
        if (!client && entry->queued[i] && ctx->unix_policy == CRS_UNIX_REFUSE)
            return refuse_outside(file, entry->queued[i], m, err);
        m->waiting[m->n_waiting++] = client ? client->id : 0;
    }
    return 0;
}

/* The socket that the connection of that inode waits at, to be accepted. */
static const struct unix_entry *find_listener(const struct unix_table *table, uint64_t inode)
{
    for (size_t i = 0; i < table->entries.n; i++)
        for (size_t j = 0; j < table->entries.items[i].n_queued; j++)
            if (table->entries.items[i].queued[j] == inode)
                return &table->entries.items[i];
    return NULL;
}

/* Is `entry` the other end of its other end? */
static bool is_mutual(const struct unix_table *table, const struct unix_entry *entry)
{
    const struct unix_entry *peer = unix_table_find(table, entry->peer);

    return peer && peer->has_peer && peer->peer == entry->inode;
}

/* ---- connected ---- */

static int dump_waiting(struct kobj_dump *ctx, const struct open_file *file,
                        const struct unix_entry *listener, Crs__UnixSocket *m,
                        struct crs_error *err)
{
    const struct open_file *server = unix_find_file(ctx, listener->inode);
    int unsent = 0;

    if (!server)
        return dump_outside(ctx, file, listener->inode, m, err);
    if (ioctl(file->dup_fd, SIOCOUTQ, &unsent) == 0 && unsent > 0)
        return refuse_early(file, err);
    m->state = CRS__UNIX_STATE__UNIX_WAITING;
    m->peer = server->id;
    return 0;
}

static bool has_error(const struct open_file *file)
{
    struct pollfd p = {.fd = file->dup_fd};

    return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

/* The other end isn't held by anybody, or hasn't been accepted. */
static int dump_without_inode(struct kobj_dump *ctx, const struct open_file *file,
                              const struct unix_entry *entry, Crs__UnixSocket *m,
                              struct crs_error *err)
{
    const struct unix_entry *listener =
        m->type == SOCK_DGRAM ? NULL : find_listener(ctx->unix_table, entry->inode);

    if (listener)
        return dump_waiting(ctx, file, listener, m, err);
    m->state = CRS__UNIX_STATE__UNIX_PEER_CLOSED;
    m->reset = m->type != SOCK_DGRAM && has_error(file);
    return 0;
}

static int dump_inside(struct kobj_dump *ctx, const struct open_file *file,
                       const struct unix_entry *entry, const struct open_file *peer,
                       Crs__UnixSocket *m, struct crs_error *err)
{
    m->state = CRS__UNIX_STATE__UNIX_CONNECTED;
    m->peer = peer->id;
    free(m->peer_name.data);
    m->peer_name = (ProtobufCBinaryData){0};
    if (m->type != SOCK_STREAM && is_mutual(ctx->unix_table, entry) &&
        !unix_queue_is_whole(peer, m))
        return file_refuse(file, err,
                           "an empty record waits in it, which an earlier checkpoint has seen: the "
                           "kernel hides it from now on",
                           "try again when the program has read it");
    return 0;
}

static int dump_credentials(struct kobj_dump *ctx, const struct open_file *file, Crs__UnixSocket *m,
                            struct crs_error *err)
{
    struct ucred from;
    socklen_t size = sizeof(from);

    if (getsockopt(file->dup_fd, SOL_SOCKET, SO_PEERCRED, &from, &size) < 0 ||
        from.uid == (uid_t)-1)
        return 0;
    m->peer_credentials = malloc(sizeof(*m->peer_credentials));
    if (!m->peer_credentials)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__unix_credentials__init(m->peer_credentials);
    m->peer_credentials->pid = unix_inner_pid(ctx, from.pid);
    m->peer_credentials->uid = from.uid;
    m->peer_credentials->gid = from.gid;
    return 0;
}

static int dump_state(struct kobj_dump *ctx, const struct open_file *file,
                      const struct unix_entry *entry, Crs__UnixSocket *m, struct crs_error *err)
{
    if (entry->listening)
        return dump_listening(ctx, file, entry, m, err);
    if (m->type == SOCK_DGRAM && has_error(file))
        return file_refuse(file, err, "an error waits in it that the program hasn't read yet",
                           "let the program read it (SO_ERROR) before the checkpoint");
    if (!entry->has_peer)
        return 0;
    if (entry->peer == 0)
        return dump_without_inode(ctx, file, entry, m, err);
    const struct open_file *peer = unix_find_file(ctx, entry->peer);
    return peer ? dump_inside(ctx, file, entry, peer, m, err)
                : dump_outside(ctx, file, entry->peer, m, err);
}

int unix_peer_dump(struct kobj_dump *ctx, const struct open_file *file, Crs__UnixSocket *m,
                   struct crs_error *err)
{
    const struct unix_entry *entry = unix_table_find(ctx->unix_table, file->st.st_ino);
    struct unix_entry guessed;
    int r = dump_credentials(ctx, file, m, err);

    if (r == 0 && peer_name(file, &m->peer_name) < 0)
        r = file_refuse_errno(file, err, "read the name of its other end");
    if (r == 0 && !ctx->unix_table->exact) {
        r = unix_guess(ctx, file, entry, m, &guessed, err);
        entry = &guessed;
    }
    return r == 0 ? dump_state(ctx, file, entry, m, err) : r;
}
