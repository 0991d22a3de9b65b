/*
 * unix_socket.h - what the files about unix sockets share
 *
 * Checkpoint: unix_queue_read() runs for each socket when all descriptors of the snapshot have been
 * found, and may find more: descriptors in flight (unix_socket.c's `explore`). Then each is dumped.
 *
 * Restart: the sockets are made, paired and named by the first that is restored
 * (unix_restore_make), all of them; when all other files are there, what was waiting to be read is
 * sent again, and what is left of connecting and closing is done (unix_restore_finish).
 */
#ifndef KOBJ_UNIX_SOCKET_H
#define KOBJ_UNIX_SOCKET_H

#include <sys/socket.h>
#include <sys/un.h>

#include "kobj/file.h"
#include "kobj/unix_table.h"
#include "unix_socket.pb-c.h"

#define UNIX_MAX_FDS 253 /* in a message: the kernel's SCM_MAX_FD */

/* ---- checkpoint ---- */

/* The table of sockets, read once in a checkpoint; owned by ctx. */
int unix_dump_table(struct kobj_dump *ctx, const struct unix_table **ret, struct crs_error *err);
/* The unix socket of that inode among the files of the snapshot; NULL: it isn't one of them. */
const struct open_file *unix_find_file(const struct kobj_dump *ctx, uint64_t inode);

/* What waits to be read, without taking it, into m->queue; descriptors in flight become files. */
int unix_queue_read(struct kobj_dump *ctx, const struct open_file *file, Crs__UnixSocket *m,
                    struct crs_error *err);

/* Has unix_queue_read() seen every record that `sender`, the other end, has sent? */
bool unix_queue_is_whole(const struct open_file *sender, const Crs__UnixSocket *m);

/* m->name, name_shared, file and directory. */
int unix_name_dump(struct kobj_dump *ctx, const struct open_file *file, Crs__UnixSocket *m,
                   struct crs_error *err);
/* Who is at the other end: m->state, peer, peer_name, waiting, reset. */
int unix_peer_dump(struct kobj_dump *ctx, const struct open_file *file, Crs__UnixSocket *m,
                   struct crs_error *err);
/* Where the table isn't exact: the entry of a socket with what else can be found out. Refused where
 * that isn't enough. m->peer_name is known. */
int unix_guess(struct kobj_dump *ctx, const struct open_file *file, const struct unix_entry *entry,
               const Crs__UnixSocket *m, struct unix_entry *ret, struct crs_error *err);
int unix_options_dump(const struct open_file *file, Crs__UnixSocket *m, struct crs_error *err);

/* A PID as the processes of the snapshot see it; 0: they can't. */
pid_t unix_inner_pid(const struct kobj_dump *ctx, pid_t pid);

/*
 * SO_PEEK_OFF belongs to the socket, so the program would see what we do to it. A guardian, a
 * process of its own, puts it back should this one be killed meanwhile.
 */
struct unix_guard;
int unix_guard_get(struct kobj_dump *ctx, struct unix_guard **ret, struct crs_error *err);
/* From now until unix_guard_release(), fd's SO_PEEK_OFF is to be `value` if we die. */
void unix_guard_hold(struct unix_guard *guard, int fd, int value);
void unix_guard_release(struct unix_guard *guard);
void unix_guard_end(struct kobj_dump *ctx);

/* ---- restart ---- */

#define UNIX_NOBODY SIZE_MAX

/* A socket being made. */
struct unix_made {
    const Crs__OpenFile *record;
    Crs__UnixSocket *m; /* owned */
    int fd;             /* ours; owned until `given` */
    bool given;
    int other;      /* stands for an end that isn't in the snapshot; -1: none */
    size_t partner; /* stream: the other end; datagrams: where it sends to now. UNIX_NOBODY: none */
    bool named, filled;
    char *place; /* a path to the file of its name, here and now; NULL: there is none */
};

struct unix_set {
    struct unix_made *items;
    size_t n;
    size_t *by_file;          /* OpenFile.id - 1 to the item; UNIX_NOBODY: no unix socket */
    struct unix_table *table; /* NULL: not read yet */
    char *directory;          /* for files of names that have none; NULL: not needed yet */
    unsigned n_places;        /* in it */
    bool made;
};

/* All unix sockets of the snapshot, checked against each other. Owned by ctx. */
int unix_set_get(struct kobj_restore *ctx, struct unix_set **ret, struct crs_error *err);
void unix_set_free(struct unix_set *set);
/* The socket with that OpenFile.id; NULL: there is none. */
struct unix_made *unix_set_find(const struct unix_set *set, uint32_t file);
/* Are the fields of the record possible? */
int unix_set_check(const struct unix_set *set, const struct unix_made *item,
                   const struct kobj_restore *ctx, struct crs_error *err);

/* Make all of them, with their names; those of streams and records with their connections. */
int unix_restore_make(struct kobj_restore *ctx, struct unix_set *set, struct crs_error *err);
/* What becomes of the process that has that PID in the snapshot; NULL: it isn't in it, or has
 * ended. */
struct tracee *unix_find_stub(const struct kobj_restore *ctx, uint32_t pid);

/* A pair made by the process that SO_PEERCRED of `a`, and of `b` unless that is NULL, tells of; by
 * us where it isn't there. */
int unix_make_pair(struct kobj_restore *ctx, const Crs__UnixSocket *a, const Crs__UnixSocket *b,
                   int *ret_a, int *ret_b, struct crs_error *err);
/* Connect to where item->m->peer_name leads, outside of the snapshot. -errno. */
int unix_reconnect(const struct unix_made *item, int fd);

/* The same for datagrams: what waits to be read is sent before its receiver is connected. */
int unix_datagrams_make(struct kobj_restore *ctx, struct unix_set *set, struct crs_error *err);
int unix_datagrams_finish(struct kobj_restore *ctx, struct unix_set *set, struct crs_error *err);

/* Who holds the socket of that inode, of those that we may look at; 0: nobody. */
pid_t unix_holder(uint64_t inode);
/* "process 7 (dbus-daemon)" */
const char *unix_holder_words(uint64_t inode, char *text, size_t size);
/* Can the name be had here? own_net: on a network of its own, where no names without files are. */
int unix_name_check(struct unix_set *set, const struct unix_made *item, bool own_net,
                    struct crs_error *err);
/* Give it its name, with its file if it had one. */
int unix_name_restore(struct kobj_restore *ctx, struct unix_set *set, struct unix_made *item,
                      struct crs_error *err);
/* Give `fd` a name that leaves no trace in the file system; *ret_place (may be NULL, freed by the
 * caller) leads to it until the set is freed. */
int unix_name_private(struct unix_set *set, int fd, const ProtobufCBinaryData *name,
                      char **ret_place);
void unix_name_end(struct unix_set *set);
/* The name of an address, of `size` bytes; 0 or -ENOMEM. */
int unix_name_copy(const struct sockaddr_un *address, socklen_t size, ProtobufCBinaryData *ret);
/* "/path", "@abstract" */
const char *unix_name_words(const ProtobufCBinaryData *name, char *text, size_t size);
socklen_t unix_address(const ProtobufCBinaryData *name, struct sockaddr_un *ret);
bool unix_name_is_abstract(const ProtobufCBinaryData *name);
/* Connect to the socket whose file is at `place`, however long that is. -errno. */
int unix_connect_place(int fd, const char *place);

/* The address of a socket that has a name here. */
struct unix_destination {
    struct sockaddr_un address;
    socklen_t size;
    int fd; /* of its file; -1: none is needed */
};
/* -ENOENT: it has no name that leads to it. */
int unix_destination_open(const struct unix_made *item, struct unix_destination *ret);

/* Send what waits to be read by `receiver`, from the socket at its other end. */
int unix_send_queue(struct kobj_restore *ctx, int fd, const Crs__UnixSocket *receiver,
                    struct crs_error *err);
int unix_send_message(struct kobj_restore *ctx, int fd, const struct unix_destination *to,
                      const Crs__UnixSocket *receiver, const Crs__UnixMessage *message,
                      struct crs_error *err);

int unix_options_restore(int fd, const Crs__UnixSocket *m, const char *name, struct crs_error *err);

#endif
