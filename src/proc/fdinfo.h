/*
 * fdinfo.h - /proc/PID/fdinfo/FD as a struct
 */
#ifndef PROC_FDINFO_H
#define PROC_FDINFO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/array.h"

/* A line "tfd:" of an epoll instance. */
struct fdinfo_target {
    uint32_t fd;
    uint32_t events;
    uint64_t data;
    uint64_t ino;
};

enum fdinfo_lock_kind {
    FDINFO_LOCK_POSIX,
    FDINFO_LOCK_OFD,
    FDINFO_LOCK_FLOCK,
    FDINFO_LOCK_LEASE,
    FDINFO_LOCK_OTHER, /* a lease that is being broken, a delegation */
};

/* A line "lock:". */
struct fdinfo_lock {
    enum fdinfo_lock_kind kind;
    pid_t pid; /* of who took it; -1: nobody's */
    bool write;
    uint64_t start, end; /* first and last byte; UINT64_MAX: to the end, wherever it is */
};

/* A line "inotify wd:" of an inotify instance. */
struct fdinfo_watch {
    int32_t wd;
    uint32_t mask;       /* as given to inotify_add_watch(2), without what only it minds */
    dev_t device;        /* of the file system's superblock */
    uint64_t ino;        /* of what is watched */
    int handle_type;     /* as of name_to_handle_at(2) */
    uint8_t handle[128]; /* MAX_HANDLE_SZ */
    uint8_t handle_size; /* 0: the file system has none */
};

enum fdinfo_mark_kind {
    FDINFO_MARK_INODE,
    FDINFO_MARK_MOUNT,
    FDINFO_MARK_FILE_SYSTEM,
    FDINFO_MARK_OTHER, /* of a kind that is newer than this */
};

/* A line "fanotify ..." with a mark of a fanotify group. */
struct fdinfo_mark {
    enum fdinfo_mark_kind kind;
    uint32_t flags; /* FAN_MARK_IGNORED_SURV_MODIFY, FAN_MARK_EVICTABLE, FAN_MARK_IGNORE */
    uint64_t mask, ignored_mask;
    size_t watch;   /* of an inode: its place in watches */
    uint32_t mount; /* of a mount: its number in mountinfo */
    dev_t device;   /* of a file system: its superblock's */
};

struct fdinfo {
    uint64_t position;
    uint32_t flags; /* of open(2), with O_CLOEXEC of the descriptor */

    bool has_eventfd;
    uint64_t eventfd_count;
    uint64_t eventfd_id; /* its own as long as it lives */
    bool has_semaphore;  /* Linux 6.5 and later tell */
    bool semaphore;

    bool has_signalfd;
    uint64_t sigmask;

    bool has_timerfd;
    uint32_t clock;
    uint64_t ticks;
    uint32_t settime_flags;
    uint64_t value_ns, interval_ns; /* value: what remains; 0: not armed, or expired */

    bool has_pidfd;
    int32_t pid;       /* of a pidfd, as the reader sees it; -1: it has ended */
    int32_t inner_pid; /* as it sees itself */

    bool has_fanotify;
    uint32_t fanotify_flags, event_flags; /* as given to fanotify_init(2) */
    ARRAY_OF(struct fdinfo_mark) marks;

    ARRAY_OF(struct fdinfo_target) targets;
    ARRAY_OF(struct fdinfo_lock) locks;
    ARRAY_OF(struct fdinfo_watch) watches;
};

/* Lines that are not known are passed over. -EINVAL: a known line is malformed, or "flags:" is
 * missing; -ENOMEM. On success the caller calls fdinfo_clear(). */
int fdinfo_parse(const char *text, struct fdinfo *ret);
void fdinfo_clear(struct fdinfo *info);
#define _cleanup_fdinfo_ __attribute__((cleanup(fdinfo_clear)))

#endif
