/*
 * kobj.h - kinds of kernel objects and how each is saved
 *
 * One file for each kind, with its match, dump, check, restore and describe side by side; one row
 * in a table of table.c; one record in proto/KIND.proto; one victim in tests/victims/KIND.c; one
 * paragraph in docs/kinds. docs/howto-add-a-kind.md has the steps.
 *
 * There are three tables: what a descriptor refers to (kobj_file_kinds), properties of a process
 * (kobj_process_kinds) and of a thread (kobj_thread_kinds).
 *
 * Dump functions run while the process is frozen; they must be quick, and leave it as it was.
 * A dump that can't be right fails with CRS_CANT_CHECKPOINT and names the object, the reason and
 * the remedy. A check runs before anything is started at a restart and fails with
 * CRS_CANT_RESTART; a restore that fails ends the restart.
 */
#ifndef KOBJ_KOBJ_H
#define KOBJ_KOBJ_H

#include <sys/stat.h>
#include "base/array.h"
#include "file.pb-c.h"
#include "memory.pb-c.h"
#include "process.pb-c.h"
#include "store/store.h"
#include "tracee/tracee.h"

/* ---- contexts ---- */

/* Shared memory and nameless files, found by mappings and descriptors alike; saved once. */
struct kobj_object {
    dev_t dev;
    ino_t ino;
    Crs__MemoryObject *record; /* owned */
};

/* What processes may share that are not threads of one. */
enum kobj_shared {
    KOBJ_MEMORY,      /* CLONE_VM */
    KOBJ_DESCRIPTORS, /* CLONE_FILES: the table of them */
    KOBJ_DIRECTORY,   /* CLONE_FS: working directory, root directory and umask */
    KOBJ_ACTIONS,     /* CLONE_SIGHAND: what it does on signals; with the memory only */
};
#define KOBJ_N_SHARED 4

/* A process of the snapshot, frozen. */
struct kobj_member {
    struct tracee *t;
    const Crs__Process *record;  /* with its descriptors, once they are collected */
    size_t first[KOBJ_N_SHARED]; /* the first member that has the same one, which saves it */
};

struct kobj_member_place {
    pid_t pid;
    size_t member;
};

/* One checkpoint being taken. */
struct kobj_dump {
    struct tracee *t;                        /* the process being dumped */
    ARRAY_OF(struct kobj_member) members;    /* all; [0] is the root */
    struct kobj_member_place *member_places; /* of each, sorted by PID: members.c's own */
    pid_t tool; /* a process that belongs to the tool and to the tree: as good as ended; 0: none */
    struct store_writer *writer;
    ARRAY_OF(struct kobj_object) objects;
    ARRAY_OF(struct open_file) files; /* all open file descriptions found */
    ARRAY_OF(uint32_t) file_index;    /* positions in files, in an order that kcmp(2) gives */
    crs_progress_fn progress;
    void *progress_arg;
    uint64_t monotonic_ns, boottime_ns, realtime_ns; /* as the program sees them */
    uint64_t nofile_before; /* the caller's own limit of descriptors; 0: was not raised */
    pid_t timers_served_of; /* timerfd.c's own: the process whose late timers were waited for */
    void *watched;          /* inotify_paths.c's own: paths found so far */
    void *everywhere;       /* scheduling.c's own: the processors that mean no restriction */
    enum crs_tcp tcp_policy;
    int left_out_fd; /* of ours, above 0: the members' descriptors of the same open file description
                        aren't saved, unless it is a device's */
    bool tell_closed;              /* what a policy closes is warned of: nobody chose it by name */
    bool terminate;                /* the program will be ended */
    bool own_ipc;                  /* it lives in an IPC namespace of its own, not in ours, */
    bool own_net;                  /* and on such a network */
    int diag_fd;                   /* inet_diag.c's own: for questions in own_net; 0: none */
    void *tcp;                     /* tcp_survey()'s own */
    void *sysv;                    /* sysv_ipc.c's own */
    enum crs_pipes pipes_policy;   /* what becomes of pipes to the outside, */
    enum crs_unix unix_policy;     /* what becomes of unix sockets connected to the outside */
    unsigned save_files;           /* enum crs_save_files: mapped files saved with their content */
    struct unix_table *unix_table; /* unix_dump_table()'s own */
    struct unix_guard *unix_guard; /* unix_guard_get()'s own */
    struct tracee *in_flight;      /* stands for the holder of files that are only in flight */
};

/* What the restarter gives in the place of what leads outside. */
struct kobj_given {
    uint32_t number;  /* under which a process of the snapshot has it */
    int fd;           /* the restarter's own; -1: */
    const char *path; /* this is opened */
};

/* One restart being made. */
struct kobj_restore {
    struct tracee *t;            /* the stub being built */
    struct tracee *const *stubs; /* of all processes of the tree; NULL: it has ended */
    struct store_reader *reader;
    Crs__Tree *tree;
    Crs__Files *files;
    Crs__Memory *memory;
    int *object_fds;         /* for each memory->objects: a descriptor of ours, or -1 */
    int *file_fds;           /* for each files->files: a descriptor of ours, or -1 */
    uint32_t *file_waits;    /* for each: descriptors it is to be installed as, where we can't have
                              * all at once and it is made for the first of them; else 0 */
    int (*inherited_fds)[3]; /* for each: what stands for it where its number is 0, 1 or 2 */
    enum crs_pids pids;
    bool own_ipc; /* it gets an IPC namespace of its own */
    bool own_net; /* and a network, where no address is in use yet: checks don't look at ours */
    bool detach;  /* the program's parent will end before it: no parent-death signal */
    crs_progress_fn progress;
    void *progress_arg;
    struct kobj_later_list *later;       /* later.c's own: of the thread whose turn it is, */
    const char *later_title;             /* and of the kind */
    void *fresh;                         /* thread_prctl.c's own */
    void *pipes;                         /* pipe.c's own: the pipes made so far */
    void *segments;                      /* sysv_shm.c's own: the segments made so far */
    bool devpts_chosen;                  /* pty_devpts.c's own */
    struct session_terminals *terminals; /* kobj_open_terminals()'s own */
    bool built;                        /* the program has been let go: what was made for it stays */
    void *tcp, *udp;                   /* tcp_restore()'s and udp_restore()'s own */
    struct unix_set *unix_sockets;     /* unix_set_get()'s own */
    struct memory_files *memory_files; /* memory_open_files()'s own */
    struct lazy *lazy;                 /* memory comes later where it can; NULL: all of it now */
    int64_t monotonic_shift_ns;   /* add to a saved CLOCK_MONOTONIC time to get the same one here */
    const Crs__Process *process;  /* what ctx->t becomes, while its descriptors are dealt with */
    struct file_holders *holders; /* during kobj_connect_files() */
    const struct kobj_given *given;
    size_t n_given;
    bool gives_own; /* pipes for which nothing is given get what the restarter has */
    uint64_t
        nofile_before; /* the caller's own limit of descriptors before it was raised; 0: was not */
};

/* The processes that the snapshot is of. Lets the caller hold a duplicate of each description. */
int kobj_dump_begin(struct kobj_dump *ctx, struct tracee *const *processes, size_t n,
                    struct crs_error *err);
/* Before the freeze, for each process that is to be saved: find what takes long to find. What goes
 * wrong here is said in the freeze. */
void kobj_prepare(struct kobj_dump *ctx, pid_t pid);
/* Free what the functions below keep in a context: files and objects, with their descriptors. */
void kobj_dump_clear(struct kobj_dump *ctx);
/* The program has been ended: what stays of it in the kernel for a while would hinder a restart. */
void kobj_dump_ended(struct kobj_dump *ctx);
/* Close file_fds and object_fds, and free both arrays. */
void kobj_restore_clear(struct kobj_restore *ctx);

/* When ctx->members are known: lets them be found by their PIDs. */
int kobj_members_index(struct kobj_dump *ctx, struct crs_error *err);
/* The thread of one that has that ID, as we see it; NULL: none. */
struct tracee_thread *kobj_find_member_thread(const struct kobj_dump *ctx, pid_t tid);
/* As kobj_find_member(), by the PID as it sees itself. */
struct tracee *kobj_find_member_inside(const struct kobj_dump *ctx, pid_t inner_pid);
/* What a process of the snapshot with that Process.pid, or a thread with that Thread.tid, is now,
 * as we see it; 0: there is none. */
pid_t kobj_member_now(const struct kobj_restore *ctx, uint32_t pid);
pid_t kobj_member_thread_now(const struct kobj_restore *ctx, uint32_t tid);

/* Tell the user what is not quite as it was. */
void kobj_warn(crs_progress_fn progress, void *arg, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- descriptors ---- */

/* A lock that is held by way of a descriptor. */
struct open_lock {
    pid_t pid;     /* of LOCK_POSIX: whose it is, as it sees itself; 0: the description's */
    uint32_t kind; /* Crs__LockKind */
    bool write;
    uint64_t start, end;
};

/* An open file description, as collected in the freeze. */
struct open_file {
    uint32_t id; /* 1, 2, ... */
    const struct kobj_file_kind *kind;
    struct tracee *holder; /* the first process that holds it, */
    int fd;                /* under this number */
    int dup_fd;            /* our duplicate of it: while it is collected, explored and dumped; that
                            * of a socket, pipe or terminal until all are dumped. Else -1. */
    struct stat st;        /* of dup_fd */
    char *link;      /* what /proc/PID/fd/N says: "/tmp/x", "pipe:[123]", "anon_inode:[eventfd]" */
    char *fdinfo;    /* the text of /proc/PID/fdinfo/N */
    uint64_t serial; /* a number that no other file of its kind has (eventfd-id); 0: none */
    unsigned flags;  /* F_GETFL */
    uint64_t position;
    ARRAY_OF(struct open_lock) locks;
    bool other_lock;         /* of a kind that can't be saved */
    bool in_flight;          /* no process has it: it is on its way through a unix socket. `holder`
                              * is ctx->in_flight, `fd` our own descriptor of it, */
    int carrier;             /* the socket has this number; -1: is in flight itself */
    ProtobufCMessage *found; /* by its kind's explore, owned */
    Crs__OpenFile *record;   /* filled by kobj_dump_files(), owned */
};

/* Where a payload has paths, for files that are somewhere else at the restart. */
struct kobj_paths {
    const ProtobufCMessageDescriptor *message; /* NULL: it has none */
    const char *fields; /* "path", "watches.path": names, with a blank between them */
};

struct kobj_file_kind {
    const char *name;       /* "eventfd"; names the files of the kind */
    const char *title;      /* "event counter (eventfd)" */
    const char *saved;      /* "yes", "with conditions", "refused" */
    const char *conditions; /* for crs kinds and docs; NULL: none */
    const char *privilege;  /* NULL: none needed */
    bool alone; /* to make one takes no other file, and once it is installed ours isn't needed */

    bool (*match)(const struct open_file *file);
    /* Look for more files that can only be had from this one, and give them to
     * kobj_add_in_flight(). When all descriptors are known, before the first dump. `file` is a
     * copy. *ret_found, for dump, becomes file->found. NULL: there are none. */
    int (*explore)(struct kobj_dump *ctx, const struct open_file *file,
                   ProtobufCMessage **ret_found, struct crs_error *err);
    /* Make the payload (a packed message of proto/NAME.proto). NULL: none. */
    int (*dump)(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err);
    /* Can it be made here? Before anything is started. NULL: always. */
    int (*check)(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err);
    /* Make it, as a descriptor of ours with the position and flags of the record. */
    int (*restore)(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err);
    /* After all descriptors stand in all processes under their numbers: what needs those
     * (epoll's interest list, locks). fd: its number in ctx->t, which is one of those that have it.
     * NULL: nothing. */
    int (*connect)(struct kobj_restore *ctx, const Crs__OpenFile *record, int fd,
                   struct crs_error *err);
    /* A few words for crs show: "count 3, semaphore". NULL: none. */
    int (*describe)(const Crs__OpenFile *record, char *text, size_t size);
    struct kobj_paths paths;
};

extern const struct kobj_file_kind *const kobj_file_kinds[]; /* ends with NULL; first match wins */

const struct kobj_file_kind *kobj_find_file_kind(const char *name);

/* All descriptors of a member, found and told apart by kcmp(2): new descriptions are added to
 * ctx->files, the numbers to the process's record. Makes ctx->t the member. */
int kobj_collect_descriptors(struct kobj_dump *ctx, struct kobj_member *member,
                             Crs__Process *process, struct crs_error *err);
/* When those of all members are collected: let requests to the kernel end that end by themselves
 * while the program stands still. *ret_found: there are objects that such requests are made by;
 * what was collected may have changed meanwhile, and must be again. */
int kobj_settle(struct kobj_dump *ctx, bool *ret_found, struct crs_error *err);
/* As if none had been collected. */
void kobj_forget_descriptors(struct kobj_dump *ctx, Crs__Process *const *processes, size_t n);
/* When those of all members are collected: match and dump each of ctx->files, with its holder in
 * the place of ctx->t. */
int kobj_dump_files(struct kobj_dump *ctx, struct crs_error *err);
/* The member; NULL: it is none. */
const struct kobj_member *kobj_member_of(const struct kobj_dump *ctx, const struct tracee *t);
/* The record of a member; its descriptors are sorted by number. */
const Crs__Process *kobj_record_of(const struct kobj_dump *ctx, const struct tracee *t);
/* Find what members share: kobj_member.first of all. */
int kobj_find_sharing(struct kobj_dump *ctx, struct crs_error *err);
/* A process that is no member: does `t` share anything with it? Then it is refused. */
int kobj_check_apart(struct tracee *t, pid_t stranger, struct crs_error *err);
/* Is it ctx->t that saves it? */
bool kobj_saves(const struct kobj_dump *ctx, enum kobj_shared what);
/* "memory (CLONE_VM)" */
const char *kobj_shared_words(enum kobj_shared what);
/* What the process has is that of the process with the PID that this tells; 0: it has its own, or
 * is the first. Not for memory, where Process.address_space tells. */
uint32_t *kobj_shared_with(Crs__Process *process, enum kobj_shared what);
/* The descriptors of `from` for `to`, which shares its table. */
int kobj_copy_descriptors(Crs__Process *to, const Crs__Process *from, struct crs_error *err);
/* A root in other namespaces than ours is refused, but for those that a restart makes. */
int kobj_check_namespaces(const struct tracee *root, struct crs_error *err);
/* The member that has that PID, as we see it; NULL: none. */
struct tracee *kobj_find_member(const struct kobj_dump *ctx, pid_t pid);

/* Add what our descriptor `fd` (taken over, also on failure) refers to, which came out of the queue
 * of a socket `carrier`; *ret_id is its number, an old one where a process has it as well. For
 * explore. */
int kobj_add_in_flight(struct kobj_dump *ctx, int fd, const struct open_file *carrier,
                       uint32_t *ret_id, struct crs_error *err);

/* Check all files of ctx->files. */
int kobj_check_files(struct kobj_restore *ctx, struct crs_error *err);
/* Make the files of ctx->files in the caller (ctx->file_fds): all; or, where those are more than it
 * may have, all but those that can be made when they are installed. */
int kobj_restore_files(struct kobj_restore *ctx, struct crs_error *err);
/* Put them into ctx->t under the numbers of the process; `service_fd` is a unix socket whose number
 * in ctx->t is remote_service_fd, used to pass them, and closed (there) at the end. */
int kobj_install_files(struct kobj_restore *ctx, const Crs__Process *process, int service_fd,
                       int remote_service_fd, struct crs_error *err);
/* When all processes have theirs: what needs them in place, once for each file. Changes ctx->t. */
int kobj_connect_files(struct kobj_restore *ctx, struct crs_error *err);

/* ---- controlling terminals (pty_session.c) ---- */

/*
 * Before the stubs are made: a pseudoterminal of the program's own that is the controlling terminal
 * of one of its sessions, whose leader must take it before the session's other processes are made.
 * They inherit the slaves, under numbers from lowest_fd on.
 */
int kobj_open_terminals(struct kobj_restore *ctx, int lowest_fd, struct crs_error *err);
/* The number of that of the session which the process with that Process.pid leads; -1: none. */
int kobj_terminal_number(const struct kobj_restore *ctx, uint32_t session);
/* When all that are to have them have them. */
void kobj_close_terminals(struct kobj_restore *ctx);

/* ---- shared memory and nameless files (objects.c, named_objects.c) ---- */

/* The object of that inode; new ones get record->id and a zeroed record. NULL: no memory. */
struct kobj_object *kobj_object_get(struct kobj_dump *ctx, dev_t dev, ino_t ino, bool *ret_new);
/* The object of that inode, if it is known; NULL: it isn't. */
struct kobj_object *kobj_object_find(struct kobj_dump *ctx, dev_t dev, ino_t ino);
/* Fill its record from a descriptor of it: kind, name, size, mode, seals and content, unless
 * record->content is set already. So whoever meets the object first saves it, the other refers to
 * it; an object's content is all of it, whatever part is mapped. */
int kobj_object_save(struct kobj_dump *ctx, struct kobj_object *object, Crs__ObjectKind kind,
                     const char *name, int fd, struct crs_error *err);
/* Are shared mappings of the file at `path` saved with its content, and as what? writable: may the
 * mapping be written? */
bool kobj_object_is_named(const char *path, bool writable, Crs__ObjectKind *ret_kind);
/* When all mappings are collected: a file that is saved with its content since it is mapped, as
 * that was asked for, is to stay one with its descriptors (regular.c). */
int kobj_join_saved_files(struct kobj_dump *ctx, struct crs_error *err);
/* The object with that path: its id; 0: there is none. */
uint32_t kobj_object_find_named(const struct kobj_restore *ctx, const char *path);
/* The bytes of an object, rounded up to its pages. */
static inline uint64_t kobj_object_whole_pages(const Crs__MemoryObject *record, uint64_t bytes)
{
    uint64_t page = record->huge_page_bytes;

    return page ? (bytes + page - 1) / page * page : bytes;
}

/* Can it be made here? Before anything is started. */
int kobj_object_check(struct kobj_restore *ctx, const Crs__MemoryObject *record,
                      struct crs_error *err);
/* Make object `id` of ctx->memory->objects here, filled; a descriptor of ours, kept by ctx. */
int kobj_object_open(struct kobj_restore *ctx, uint32_t id, int *ret_fd, struct crs_error *err);

/* ---- rings (io_uring.c) ---- */

/* The id of the io_uring of ctx->t whose ring has that inode; 0: it has none. When all descriptors
 * are collected. */
uint32_t kobj_io_uring_of(struct kobj_dump *ctx, dev_t dev, ino_t ino);

/* ---- System V shared memory (sysv_shm.c) ---- */

/* Fill the record of the segment with that ID, which the process has attached: all but content. */
int kobj_sysv_save(struct kobj_dump *ctx, Crs__MemoryObject *record, int shmid,
                   struct crs_error *err);
/* Make segment `id` of ctx->memory->objects, filled: *ret_shmid. It stays attached to the caller
 * until kobj_restore_clear(), so that a removed one lives until all processes have attached it. */
int kobj_sysv_open(struct kobj_restore *ctx, uint32_t id, int *ret_shmid, struct crs_error *err);

/* In the program's own IPC namespace, before anything else is made in it: its limits, System V
 * semaphores and message queues (sysv_ipc.c). */
int kobj_restore_ipc(struct kobj_restore *ctx, struct crs_error *err);

/* ---- properties of processes and threads ---- */

struct kobj_question; /* questions.h */

struct kobj_process_kind {
    const char *name, *title, *saved, *conditions, *privilege; /* as above */
    /* A payload left without data: nothing to save, no record is made. (kobj_pack() gives data
     * also to a message that packs into no bytes, whose fields all are 0.) */
    int (*dump)(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err);
    int (*check)(struct kobj_restore *ctx, const Crs__Process *process, const struct bytes *payload,
                 struct crs_error *err);
    /* Runs when memory, threads and descriptors are there. In the order of the table. */
    int (*restore)(struct kobj_restore *ctx, const Crs__Process *process,
                   const struct bytes *payload, struct crs_error *err);
    /* After the properties of all threads, before memory_seal(). NULL: nothing. */
    int (*finish)(struct kobj_restore *ctx, const Crs__Process *process,
                  const struct bytes *payload, struct crs_error *err);
    /* After memory_seal(), without scratch memory: what would have hindered us. NULL: nothing. */
    int (*lock)(struct kobj_restore *ctx, const Crs__Process *process, const struct bytes *payload,
                struct crs_error *err);
    int (*describe)(const struct bytes *payload, char *text, size_t size);
    struct kobj_paths paths;
    const struct kobj_question *questions; /* that dump() always asks, by kobj_ask() */
    size_t n_questions;
};

struct kobj_thread_kind {
    const char *name, *title, *saved, *conditions, *privilege;
    int (*dump)(struct kobj_dump *ctx, struct tracee_thread *thread, struct bytes *ret_payload,
                struct crs_error *err);
    int (*restore)(struct kobj_restore *ctx, struct tracee_thread *thread,
                   const Crs__Thread *record, const struct bytes *payload, struct crs_error *err);
    int (*describe)(const struct bytes *payload, char *text, size_t size);
    struct kobj_paths paths;
    const struct kobj_question *questions;
    size_t n_questions;
};

extern const struct kobj_process_kind *const kobj_process_kinds[];
extern const struct kobj_thread_kind *const kobj_thread_kinds[];

/* All properties of ctx->t (and one of its threads), by the tables. */
int kobj_dump_process(struct kobj_dump *ctx, Crs__Attribute ***ret, size_t *ret_n,
                      struct crs_error *err);
int kobj_dump_thread(struct kobj_dump *ctx, struct tracee_thread *thread, Crs__Attribute ***ret,
                     size_t *ret_n, struct crs_error *err);
int kobj_check_process(struct kobj_restore *ctx, const Crs__Process *process,
                       struct crs_error *err);
int kobj_restore_process(struct kobj_restore *ctx, const Crs__Process *process,
                         struct crs_error *err);
int kobj_restore_thread(struct kobj_restore *ctx, struct tracee_thread *thread,
                        const Crs__Thread *record, struct crs_error *err);

/*
 * The order of a restart: kobj_restore_process(); kobj_restore_thread() for each thread;
 * arch_calls_batch(t, false), since a batch's trap would reset the program's action on SIGTRAP;
 * kobj_finish_process() (that action, capabilities given up); memory_seal(); kobj_lock_process()
 * (MDWE, not dumpable: /proc/PID is not ours any more after it, ptrace is). All threads block all
 * signals meanwhile: pending signals are queued by the first two.
 */
int kobj_finish_process(struct kobj_restore *ctx, const Crs__Process *process,
                        struct crs_error *err);
int kobj_lock_process(struct kobj_restore *ctx, const Crs__Process *process, struct crs_error *err);

/* Pack a message into bytes. 0 or -ENOMEM with words. */
int kobj_pack(const ProtobufCMessage *message, struct bytes *ret, struct crs_error *err);

#endif
