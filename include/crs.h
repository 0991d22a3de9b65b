/*
 * crs.h - checkpoint and restart of running programs
 *
 * Purpose: save a running, unmodified program into a snapshot on disk while it goes on running,
 * and bring it back from the snapshot later.
 *
 * Calling sequence: crs_checkpoint() on a process ID writes one snapshot. crs_restart() makes the
 * program run again as a child of the caller; crs_restart_wait() waits for its end. A snapshot
 * is opened for reading by crs_snapshot_open() and freed by crs_snapshot_free().
 *
 * Errors: functions return 0, or a negative errno value. The last argument `err`, which may be
 * NULL, receives the words: the object, the reason and the remedy, and the class of the failure,
 * which is also the exit code of the tools. Outputs are named ret_x and stay untouched on failure.
 *
 * Threads: a checkpoint or restart runs in the calling thread and holds the program with ptrace
 * from that thread. Calls on different programs may run in different threads. No function may be
 * called from a signal handler. SIGCHLD must not be ignored by the caller during crs_restart().
 *
 * Options: begin with ..._OPTIONS_INIT, then set fields. The structs grow at their end; the library
 * takes those of older and newer crs.h, unless a newer option is set that it doesn't have.
 *
 * Nothing here prints, exits, or changes signal dispositions.
 */
#ifndef CRS_H
#define CRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What follows is what the library exports, however its own files are compiled. */
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

#define CRS_API_VERSION     1
#define CRS_ERROR_TEXT_SIZE 1024

/* The class of a failure; the tools exit with it. */
enum crs_kind {
    CRS_OK = 0,
    CRS_FAILED = 1,          /* anything else */
    CRS_USAGE = 2,           /* wrong arguments */
    CRS_NOT_FOUND = 3,       /* no such process, job or snapshot */
    CRS_NOT_PERMITTED = 4,   /* the kernel or its policy forbids it */
    CRS_CANT_CHECKPOINT = 5, /* the target holds something that can't be saved */
    CRS_DAMAGED = 6,         /* the snapshot is damaged or incomplete */
    CRS_CANT_RESTART = 7,    /* this machine can't take the snapshot */
    CRS_STORAGE = 8,         /* storage failed: full, quota, I/O */
    CRS_TIMED_OUT = 9,       /* the time given ran out; the target is unharmed */
    CRS_BUSY = 75,           /* try again: held by another tool, or a PID is in use */
};

/* A failure in words. Owned by the caller; valid after a function returned a negative value. */
struct crs_error {
    enum crs_kind kind;
    int errnum; /* the errno value, positive; 0 when there is none */
    char text[CRS_ERROR_TEXT_SIZE];
};

/* Progress and warnings. `text` is valid during the call only. Called in the calling thread. */
struct crs_progress {
    const char *phase;    /* "freeze", "memory", "sync", "verify", "fill", ...; never NULL. The last
                             of a restart is "start": the program runs when the call returns. */
    uint64_t done_bytes;  /* within the phase */
    uint64_t total_bytes; /* 0 when the phase has no size */
    const char *warning;  /* not NULL: this is a warning, and the rest is to be ignored */
};
typedef void (*crs_progress_fn)(const struct crs_progress *progress, void *arg);

/* ---- checkpoint ---- */

/* What happens to the program once the snapshot is safe on disk. */
enum crs_afterwards {
    CRS_CONTINUE = 0,  /* it goes on running */
    CRS_TERMINATE = 1, /* it is killed by SIGKILL; nothing of it runs after the saved instant */
    CRS_STOP = 2,      /* it is left stopped, as by SIGSTOP */
};

/* Which processes are saved. */
enum crs_scope {
    CRS_TREE = 0,    /* the process and all its descendants */
    CRS_ONLY = 1,    /* the process alone */
    CRS_GROUP = 2,   /* its process group */
    CRS_SESSION = 3, /* its session */
};

/* Files that are mapped by their names and saved with their content, so that a restart doesn't need
 * them. Bits of crs_checkpoint_options.save_files. */
enum crs_save_files {
    CRS_SAVE_EXECUTABLE = 1, /* the executables */
    CRS_SAVE_PRIVATE = 2,    /* files mapped MAP_PRIVATE: libraries, mostly */
    CRS_SAVE_SHARED = 4,     /* files mapped MAP_SHARED; restarted, the program has them without a
                                name: what it changes in them doesn't reach the named ones */
    CRS_SAVE_ALL = 7,
};

/* What becomes of TCP connections whose other end isn't part of the checkpoint. */
enum crs_tcp {
    CRS_TCP_REFUSE = 0, /* the checkpoint is refused, with the address of the other end */
    CRS_TCP_CLOSE = 1,  /* restarted, the program finds them reset by the other end */
    CRS_TCP_KEEP = 2,   /* they go on: needs CAP_NET_ADMIN, at the restart as well */
};

/* What becomes of a unix socket whose other end belongs to a program outside of the checkpoint. */
enum crs_unix {
    CRS_UNIX_REFUSE = 0,    /* the checkpoint is refused, naming that program */
    CRS_UNIX_CLOSE = 1,     /* restarted, it is as if the other end had been closed */
    CRS_UNIX_RECONNECT = 2, /* it is connected anew to the path that it was connected to; where that
                               isn't possible, it is closed */
};

/* What becomes of a pipe, under another number than 0 to 2, whose other end a program outside of
 * the checkpoint holds. */
enum crs_pipes {
    CRS_PIPES_REFUSE = 0, /* the checkpoint is refused, naming that program */
    CRS_PIPES_GIVE = 1,   /* something has to be given for it at the restart */
};

/* How a snapshot stands there. Both have the same content and the same checksums. */
enum crs_form {
    CRS_FORM_DIRECTORY = 0,
    CRS_FORM_STREAM = 1, /* one sequence of bytes: a file, or what goes through a descriptor */
};

/* When memory is copied. */
enum crs_freeze {
    CRS_FREEZE_AUTO = 0, /* as CRS_FREEZE_LIVE for processes with 8 MiB or more of memory, where the
                            program goes on afterwards and the snapshot is a directory; and as
                            CRS_FREEZE_FORK for what is left then, or can't be copied so, where that
                            makes the pause shorter and there is enough memory. A warning where that
                            would have been so, but it may not have a process more. Else as
                            CRS_FREEZE_STOP. */
    CRS_FREEZE_STOP = 1, /* while the program stands still */
    CRS_FREEZE_LIVE = 2, /* while it runs; the freeze copies what was written to meanwhile, and what
                            the kernel doesn't tell that of. Where nothing can be done so, there is
                            a warning, and all is copied in the freeze. */
    CRS_FREEZE_FORK =
        3, /* while it runs, from a copy that fork(2) makes in the freeze; what that
              doesn't copy is copied in the freeze. A warning as above. Where the
              program doesn't go on before the snapshot is safe: as CRS_FREEZE_STOP. */
};
/* Transparent huge pages that were split by the second and third are joined again before the call
 * returns. */

struct crs_checkpoint_options {
    size_t
        struct_size; /* sizeof(struct crs_checkpoint_options), set by CRS_CHECKPOINT_OPTIONS_INIT */
    const char *output; /* the directory (or file) to make; NULL: STORE/name/next number */
    const char *store;  /* NULL: $CRS_STORE, $XDG_STATE_HOME/crs, ~/.local/state/crs */
    const char *name;   /* the job's name in the store; NULL: the command's name and PID */
    enum crs_afterwards afterwards;
    int timeout_ms;       /* for everything; 0: none */
    const char *compress; /* "auto", "none", "lz4", "zstd", "zstd:LEVEL"; NULL: auto, which takes
                             what writes the snapshot in the shortest time, piece by piece */
    crs_progress_fn progress; /* NULL: none */
    void *progress_arg;
    const volatile int *cancel; /* not NULL: stop and undo when it becomes non-zero */
    enum crs_scope scope;
    pid_t tool; /* a process that waits for this call; 0: none. If it belongs to the program, which
                   then asks for its own checkpoint, it is saved as one that has ended with 0, as is
                   the caller itself. */
    enum crs_tcp tcp;
    enum crs_unix unix_sockets; /* with the other end outside of the checkpoint */
    enum crs_pipes pipes;       /* likewise */
    enum crs_form form;         /* of `output`; a store has directories only */
    int stream_fd; /* above 0: write a stream to this descriptor (a pipe, a socket, a file, a
                      device) instead. The program stands still while the other end takes its
                      memory: give a timeout. On failure what was written is no whole stream, and a
                      reader says so. The snapshot counts as safe when the other end has taken all
                      of it. */

    /* Mapped files that are saved with their content: enum crs_save_files. 0: none, they must be
     * there at the restart. */
    unsigned save_files;

    enum crs_freeze freeze;

    /* An older snapshot: the new one shares with it what hasn't changed, by hard links, and each
     * stays complete by itself. A path, or NAME or NAME@SEQ of the store. NULL: the newest complete
     * one of the same name in the store, for a snapshot in the store; others are full. */
    const char *base;
    int full; /* not 0: all is written anew; not with `base` */

    /* Write no more than so many bytes a second, by all threads together; 0: no limit. What is
     * copied while the program stands still is written no faster, either: there is a warning. */
    uint64_t limit_bytes_per_second;

    /* The program and others go before, for the processors and the disk, in all that is done while
     * the program runs. What is done while it stands still has the caller's priority. */
    bool nice;

    /* A file of 32 bytes at least, random ones: what is saved is encrypted with it, all but the
     * manifest (name, time, sizes, the command's name). NULL: it is not. See crs_use_key_file(). */
    const char *key_file;
};
#ifdef __cplusplus
static inline struct crs_checkpoint_options crs_checkpoint_options_init(void)
{
    struct crs_checkpoint_options options = {};
    options.struct_size = sizeof(options);
    return options;
}
#define CRS_CHECKPOINT_OPTIONS_INIT crs_checkpoint_options_init()
#else
#define CRS_CHECKPOINT_OPTIONS_INIT                                                                \
    {                                                                                              \
        .struct_size = sizeof(struct crs_checkpoint_options)                                       \
    }
#endif

struct crs_checkpoint_result {
    char *path;            /* the snapshot's directory or file; "-" with stream_fd */
    char *name;            /* NAME@SEQ, or NULL when it was written outside the store */
    uint64_t size_bytes;   /* of all files of the snapshot */
    uint64_t memory_bytes; /* memory saved, before compression */
    uint64_t pause_us;     /* how long the program was stopped, altogether */
    uint64_t total_us;     /* the whole checkpoint */
    unsigned n_processes, n_threads;
    enum crs_freeze freeze;   /* what was done; CRS_FREEZE_FORK: with or without CRS_FREEZE_LIVE */
    uint64_t longest_stop_us; /* the longest of the stops that pause_us is the sum of */
    uint64_t peak_memory_bytes; /* the most that the process which made it had in memory, ever */
    uint64_t buffer_bytes;      /* of these, buffers: they don't grow with the program */
    char *base;         /* what it shares files with: NAME@SEQ, or as it was given; or NULL */
    uint64_t new_bytes; /* of size_bytes: those that it doesn't share with its base */
};

/*
 * Checkpoint the process `pid` (as the caller sees it; any thread's ID is refused with the
 * process's ID named) and what the scope says into one snapshot: all are frozen together, all are
 * saved or none. On failure the program goes on unharmed and no snapshot exists. The strings of
 * *ret are freed by crs_checkpoint_result_clear().
 */
int crs_checkpoint(pid_t pid, const struct crs_checkpoint_options *options,
                   struct crs_checkpoint_result *ret, struct crs_error *err);
void crs_checkpoint_result_clear(struct crs_checkpoint_result *result);

/* ---- restart ---- */

struct crs_snapshot;

enum crs_pids {
    CRS_PIDS_DEFAULT = 0, /* the first of these that works */
    CRS_PIDS_SAME = 1,    /* the saved PIDs, in this PID namespace: needs CAP_CHECKPOINT_RESTORE */
    CRS_PIDS_NAMESPACE = 2, /* the saved PIDs, in a new user and PID namespace */
    CRS_PIDS_NEW = 3,       /* new PIDs; written where the threads keep theirs */
};

/* The process group and the session of the root, and of those that were in the same ones. */
enum crs_membership {
    CRS_MEMBERSHIP_DEFAULT = 0, /* The session is the restarter's, but for a program with a terminal
                                   of its own, and with `detach`. A root that led its group does so
                                   again where no terminal's keys are to reach it; else the group is
                                   the restarter's. */
    CRS_MEMBERSHIP_INHERIT = 1, /* the restarter's, but for the session of a program with a terminal
                                   of its own */
    CRS_MEMBERSHIP_RESTORE = 2, /* those that were saved, with the saved PIDs under their numbers. A
                                   leader that isn't part of the program is stood in for while the
                                   program is made; CRS_BUSY: somebody has its number */
};

struct crs_restart_options {
    size_t struct_size;
    enum crs_pids pids;
    bool detach;  /* leave the program on its own: not ended when the caller ends */
    bool stopped; /* leave it stopped; SIGCONT starts it */
    crs_progress_fn progress;
    void *progress_arg;
    /* For pipes and terminals that lead outside of the snapshot: "N=M" puts the caller's descriptor
     * M in the place of the program's N, "N=PATH" the file with that path. */
    const char *const *fds;
    size_t n_fds;
    struct crs_snapshot *snapshot; /* not NULL: restart this one, which stays the caller's; the path
                                      is not used */
    /* Files that are somewhere else now: "OLD=NEW" leads what began with the path OLD to NEW. OLD
     * matches whole names of a path, and the first that matches counts. Both are absolute; in them
     * '\=' stands for '=' and '\\' for '\'. Open files, mapped ones, executables, directories. */
    const char *const *relocate;
    size_t n_relocate;
    enum crs_membership group, session;

    /* Let the program run before its memory is there: pages come when they are touched, all others
     * in the background. It takes CAP_SYS_PTRACE in the first user namespace; without, there is a
     * warning, and all memory is there first. See crs_restarted.lazy. */
    bool lazy;
};
#ifdef __cplusplus
static inline struct crs_restart_options crs_restart_options_init(void)
{
    struct crs_restart_options options = {};
    options.struct_size = sizeof(options);
    return options;
}
#define CRS_RESTART_OPTIONS_INIT crs_restart_options_init()
#else
#define CRS_RESTART_OPTIONS_INIT                                                                   \
    {                                                                                              \
        .struct_size = sizeof(struct crs_restart_options)                                          \
    }
#endif

/* A restarted program. */
struct crs_restarted {
    pid_t pid;          /* the program's first process, as the caller sees it */
    pid_t wait_pid;     /* the caller's child to wait for: the program, or its namespace's PID 1 */
    enum crs_pids pids; /* the policy that was used */
    int status_fd;      /* for crs_restart_wait(); -1 where wait_pid is the program itself */
    uint64_t first_instruction_us; /* from the call until the program ran */
    uint64_t memory_bytes;

    /* Since crs_restart_options.lazy; not written for who has an older crs.h. */
    bool lazy;   /* memory comes later. Two processes that are nobody's children (crs-fill) see to
                    it, and end by themselves; the snapshot may be removed meanwhile. They are copies
                    of the caller as fork(2) makes them, without its other descriptors. */
    int fill_fd; /* readable when all memory is there, or it can't be brought; -1: all is there. For
                    crs_restart_filled(), or to be closed by the caller. */
};

int crs_restart(const char *path, const struct crs_restart_options *options,
                struct crs_restarted *ret, struct crs_error *err);

/*
 * Wait until the restarted program ends (with WUNTRACED in wait_flags: or stops).
 * *ret_status is as of waitpid(2). Returns -EAGAIN with WNOHANG when nothing happened.
 */
int crs_restart_wait(struct crs_restarted *restarted, int wait_flags, int *ret_status,
                     struct crs_error *err);

/*
 * Wait at most timeout_ms (-1: for any time) until all memory of a program is there that was
 * restarted with `lazy`. 0: it is there, or was thrown away by the program, or the program has
 * ended; fill_fd is closed then. -EAGAIN: not yet. Other errors: a part of it was damaged
 * (CRS_DAMAGED) or can't be read, or who brought it was killed: the program was killed by SIGKILL.
 */
int crs_restart_filled(struct crs_restarted *restarted, int timeout_ms, struct crs_error *err);

/* ---- snapshots ---- */

/*
 * The key of encrypted snapshots that are read from now on, by any thread of the caller. NULL: that
 * in the file that the environment variable CRS_KEY_FILE names, which is read when one is needed.
 * Who has none gets CRS_NOT_PERMITTED. Kind CRS_USAGE: the file can't be read, or is no key.
 */
int crs_use_key_file(const char *key_file, struct crs_error *err);

/* Open a snapshot, a directory or a stream: reads and checks the manifest and each file's length.
 */
int crs_snapshot_open(const char *path, struct crs_snapshot **ret, struct crs_error *err);

/*
 * The same of an open descriptor, which stays the caller's: of a directory, or of a stream, which
 * begins where the descriptor stands. A file is read in place. From a pipe or a socket the stream
 * is read to its end (and no further) and kept in a nameless file (in $TMPDIR, /var/tmp, /tmp, or
 * in memory) until the snapshot is freed. `name` is for words.
 */
int crs_snapshot_open_fd(int fd, const char *name, struct crs_snapshot **ret,
                         struct crs_error *err);
void crs_snapshot_free(struct crs_snapshot *snapshot);

/* Check every length and every checksum. */
int crs_snapshot_verify(struct crs_snapshot *snapshot, crs_progress_fn progress, void *arg,
                        struct crs_error *err);

/*
 * Verify the snapshot and write what is read: at `output`, which must not exist, as a directory or
 * a stream; or to a descriptor as a stream. The manifest, the records and the packs stay what they
 * are, byte for byte. ret_size_bytes may be NULL.
 */
int crs_snapshot_copy(struct crs_snapshot *snapshot, const char *output, enum crs_form form,
                      crs_progress_fn progress, void *arg, uint64_t *ret_size_bytes,
                      struct crs_error *err);
int crs_snapshot_copy_fd(struct crs_snapshot *snapshot, int fd, crs_progress_fn progress, void *arg,
                         uint64_t *ret_size_bytes, struct crs_error *err);

/* What was saved, as one JSON document (see crs-show(1)). The caller frees *ret_json. */
int crs_snapshot_describe(struct crs_snapshot *snapshot, char **ret_json, struct crs_error *err);

/*
 * The directory or stream that `spec` names: a path, NAME, NAME@SEQ or NAME@latest. `store` as in
 * the options above. The caller frees *ret_path.
 */
int crs_snapshot_resolve(const char *store, const char *spec, char **ret_path,
                         struct crs_error *err);

/* The snapshots of the store, as a JSON array, oldest first within a name; name NULL: all. */
int crs_snapshot_list(const char *store, const char *name, char **ret_json, struct crs_error *err);

/* Remove a snapshot: first it stops being one, then its files go. */
int crs_snapshot_remove(const char *path, struct crs_error *err);

/* The store's directory. The caller frees *ret_path. */
int crs_store_path(const char *store, char **ret_path, struct crs_error *err);

/* The kinds of kernel objects, as a JSON array: name, title, saved, conditions, privilege. */
int crs_kinds(char **ret_json, struct crs_error *err);

const char *crs_version(void);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif
#endif
