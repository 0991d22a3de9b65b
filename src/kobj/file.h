/*
 * file.h - what the kinds of descriptors share
 */
#ifndef KOBJ_FILE_H
#define KOBJ_FILE_H

#include "kobj/kobj.h"
#include "proc/fdinfo.h"

/* ---- words ---- */

/* "fd 7", "a descriptor in flight in fd 5" */
const char *file_words(const struct open_file *file, char *text, size_t size);
/* "fd 7 is an event counter (anon_inode:[eventfd]): REASON; REMEDY" with CRS_CANT_CHECKPOINT. */
int file_refuse(const struct open_file *file, struct crs_error *err, const char *reason,
                const char *remedy);
/* The same with -EAGAIN: in a moment the program may be past it, so the checkpoint tries again. */
int file_refuse_for_now(const struct open_file *file, struct crs_error *err, const char *reason,
                        const char *remedy);
/* "fd 7 (/tmp/x): can't WHAT: words of errno" */
int file_refuse_errno(const struct open_file *file, struct crs_error *err, const char *what);

/* ---- of a collected descriptor ---- */

void open_file_clear(struct open_file *file);
/* What can be read about descriptor `fd` of the process, with a duplicate of it; *ret_info is the
 * caller's. On failure there may be a part of both. */
int file_look(struct tracee *t, int fd, struct open_file *file, struct fdinfo *ret_info,
              struct crs_error *err);
const struct kobj_file_kind *file_match(const struct open_file *file); /* never NULL */
/* file->dup_fd, for a look at it: taken unless it is held anyway, and closed again. */
int file_hold(struct open_file *file, struct crs_error *err);
void file_let_go(struct open_file *file);
/* All open file descriptions of an inode, by their places in an index:
 *     for (size_t i = file_first_place(ctx, st); (f = file_at_place(ctx, i, st)); i++) */
size_t file_first_place(const struct kobj_dump *ctx, const struct stat *st);
const struct open_file *file_at_place(const struct kobj_dump *ctx, size_t place,
                                      const struct stat *st);

/* A thread that has it, for kcmp(2): the leader of its holder may have exited. */
pid_t file_holder_task(const struct open_file *file);
/* The lowest number under which a process of the snapshot has it. */
int file_lowest_number(const struct kobj_dump *ctx, const struct open_file *file);

int file_parse_info(const struct open_file *file, struct fdinfo *ret, struct crs_error *err);
/* Is its link "anon_inode:NAME"? */
bool file_is_anonymous(const struct open_file *file, const char *name);
/* A path, not "pipe:[1]" or "anon_inode:x". */
bool file_has_path(const struct open_file *file);
/* Its name was removed: no link is left, or the one that it was opened by is gone. */
bool file_is_deleted(const struct open_file *file);
/* Its path, when that leads to this very file here; else refused. The caller frees. */
int file_path(const struct open_file *file, char **ret, struct crs_error *err);
/* The same for what can't be saved without its name: refused where that was removed. */
int file_path_kept(const struct open_file *file, char **ret, struct crs_error *err);

/* ---- of a record ---- */

/* Unpack its payload; freed by protobuf_c_message_free_unpacked(). */
int file_unpack(const Crs__OpenFile *record, const ProtobufCMessageDescriptor *descriptor,
                ProtobufCMessage **ret, struct crs_error *err);
/* The record of that id; NULL: there is none. */
const Crs__OpenFile *file_find(const struct kobj_restore *ctx, uint32_t id);
/* The flags to open it with: what can be given to open(2) again. */
int file_open_flags(const Crs__OpenFile *record);
/* Give `fd` the saved flags that F_SETFL can set. */
int file_set_flags(int fd, const Crs__OpenFile *record, struct crs_error *err);
/* A new description of what `fd` is, by way of /proc/self/fd. -errno. */
int file_reopen(int fd, int flags, int *ret_fd);
/* Make the file of a checked record, unless that is done already: ctx->file_fds has it. For a kind
 * that needs another file first. */
int file_restore(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err);
/* Before the first of them: room for the descriptors. */
int file_restore_begin(struct kobj_restore *ctx, struct crs_error *err);
/* Take over `fd` as the restored descriptor: flags are set, it is closed on failure. */
int file_finish(int fd, const Crs__OpenFile *record, int *ret_fd, struct crs_error *err);
/* The same for files that have a position. */
int file_finish_at(int fd, const Crs__OpenFile *record, int *ret_fd, struct crs_error *err);
/* The path must lead to a file of this type (S_IFREG...) here; *ret (may be NULL) its status. */
int file_check_path(const char *path, mode_t type, struct stat *ret, struct crs_error *err);
/* Is it one of the descriptors 0 to 2 of a process of the snapshot? */
bool file_has_number(const struct kobj_restore *ctx, const Crs__OpenFile *record, uint32_t fd);

/* Has nobody but the caller, by this one descriptor, the file open or mapped? */
bool file_is_unused(int fd);

/* ---- locks (locks.c) ---- */

/* The locks that a process's fdinfo tells of, into file->locks: of each process its own. */
int locks_collect(const struct kobj_dump *ctx, const struct tracee *t, const struct fdinfo *info,
                  struct open_file *file, struct crs_error *err);
int locks_dump(const struct open_file *file, Crs__OpenFile *record, struct crs_error *err);
/* Could they be taken now? `path`: the file. */
int locks_check(const Crs__OpenFile *record, const char *path, struct crs_error *err);
/* Take those of the description (`shared`), and those of the process ctx->process, which has it as
 * its descriptor `fd`. */
int locks_restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int fd, bool shared,
                  struct crs_error *err);

/* ---- signals of descriptors (owner.c) ---- */

/* F_GETOWN_EX and F_GETSIG into the record. */
int owner_dump(struct kobj_dump *ctx, const struct open_file *file, Crs__OpenFile *record,
               struct crs_error *err);
/* F_SETOWN_EX, F_SETSIG and O_ASYNC, made by ctx->t, whose descriptor `fd` it is. */
int owner_restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int fd,
                  struct crs_error *err);

/* ---- inherited descriptors (inherit.c) ---- */

/* Does the restarter's descriptor take the place of this file where its number is 0 to 2? */
bool inherit_is_wanted(const Crs__OpenFile *record);
/* A descriptor for number `number` (0 to 2), from the restarter's. */
int inherit_number(struct kobj_restore *ctx, const Crs__OpenFile *record, int number, int *ret_fd,
                   struct crs_error *err);
/* One for any other number. */
int inherit_any(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                struct crs_error *err);

/* Is something given for that file in particular? Then *ret_r is whether that will do; nothing is
 * opened, as whoever holds the other end would see it closed again. */
bool inherit_is_given(const struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_r,
                      struct crs_error *err);
/* Is everything that the restarter gives for something that leads outside? */
int inherit_check_given(const struct kobj_restore *ctx, struct crs_error *err);

/* Close what was kept while pipes were made. */
void pipe_restore_end(struct kobj_restore *ctx);

/* ---- sockets ---- */

/* Free what was kept while connections were found, and made. */
void tcp_survey_end(struct kobj_dump *ctx);
/* The program is gone: its connections leave nothing behind that holds their addresses. */
void tcp_survey_ended(struct kobj_dump *ctx);
void tcp_restore_end(struct kobj_restore *ctx);
void udp_restore_end(struct kobj_restore *ctx);

/* ---- unix sockets ---- */

/* Free the holder of files that are only in flight. */
void in_flight_end(struct kobj_dump *ctx);
/* Free what a checkpoint of them has kept. */
void unix_dump_end(struct kobj_dump *ctx);
/* All files are made: what was waiting to be read in unix sockets is put back. */
int unix_restore_finish(struct kobj_restore *ctx, struct crs_error *err);
void unix_restore_end(struct kobj_restore *ctx);

/* ---- objects ---- */

/* Open the file of a named object, made where it is missing. *ret_fill: it is to get the saved
 * content, and is empty now. */
int object_open_named(struct kobj_restore *ctx, const Crs__MemoryObject *record, int *ret_fd,
                      bool *ret_fill, struct crs_error *err);
/* Can the segment be made here? */
int sysv_check(const struct kobj_restore *ctx, const Crs__MemoryObject *record,
               struct crs_error *err);
/* Detach the segments from the caller; without ctx->built, remove those that were made. */
void sysv_restore_end(struct kobj_restore *ctx);
/* Free what a checkpoint of semaphores and message queues has kept. */
void sysv_dump_end(struct kobj_dump *ctx);
/* Set the seals that had to wait until memory was mapped. */
int kobj_objects_seal(struct kobj_restore *ctx, struct crs_error *err);

/* ---- rings ---- */

/* kobj_settle() for each kind. */
int io_uring_settle(struct kobj_dump *ctx, bool *ret_found, struct crs_error *err);
int aio_settle(struct kobj_dump *ctx, bool *ret_found, struct crs_error *err);
/* In the place of the descriptors that stand there for them. Changes ctx->t. */
int io_uring_restore_all(struct kobj_restore *ctx, struct crs_error *err);

/* ---- who has a file (connect.c) ---- */

struct file_holder {
    uint32_t file;    /* OpenFile.id */
    uint32_t process; /* position in the tree */
    int fd;           /* the lowest number */
};

/* All of them, by file and process. */
struct file_holders {
    struct file_holder *items;
    size_t n;
};

/* Those of one file. */
const struct file_holder *file_holders_of(const struct kobj_restore *ctx, uint32_t id,
                                          size_t *ret_n);
/* Make the holder's process ctx->t and ctx->process. */
void file_enter(struct kobj_restore *ctx, const struct file_holder *holder);

/* ---- epoll ---- */

/* Interest lists, inner instances before those that watch them. Changes ctx->t. */
int epoll_restore_lists(struct kobj_restore *ctx, struct crs_error *err);
/* The number under which ctx->process has the file; -1: it doesn't. */
int file_number(const struct kobj_restore *ctx, uint32_t id);

/* ---- the rows of the table ---- */

extern const struct kobj_file_kind kobj_regular, kobj_directory, kobj_path, kobj_device, kobj_pipe,
    kobj_fifo, kobj_eventfd, kobj_timerfd, kobj_signalfd, kobj_epoll, kobj_memfd, kobj_terminal,
    kobj_inotify, kobj_pty_master, kobj_pidfd, kobj_process_file, kobj_mqueue, kobj_unix_socket,
    kobj_tcp_socket, kobj_udp_socket, kobj_netlink_socket, kobj_raw_socket, kobj_fanotify,
    kobj_packet_socket, kobj_io_uring;

#endif
