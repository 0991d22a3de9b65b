/*
 * rebuild.h - from the records of a process to the process, in the caller's PID namespace
 */
#ifndef ENGINE_REBUILD_H
#define ENGINE_REBUILD_H

#include "engine/namespaces.h"
#include "engine/snapshot.h"

/* The last phase of progress: the program runs as soon as it has been told. */
#define REBUILD_LAST_PHASE "start"

/* A process that is built and still held. */
struct rebuild_held {
    const Crs__Process *record;
    pid_t pid; /* as the builder sees it */
};
typedef int (*rebuild_held_fn)(const struct rebuild_held *held, size_t n, void *arg,
                               struct crs_error *err);

struct rebuild {
    const struct loaded *loaded;
    enum crs_pids pids;  /* the policy in force: SAME and NAMESPACE choose PIDs, NEW does not */
    unsigned namespaces; /* its own ones, when it was saved */
    bool own_clocks;     /* the restarter's: no time namespace is made */
    bool
        clocks_go_on; /* a time namespace makes the monotonic clocks go on from the saved instant */
    bool in_foreground; /* the restarter is in the foreground of its terminal */
    bool detach;
    bool stopped;
    enum crs_membership group, session;
    rebuild_held_fn held; /* all are built, before the first is let go; NULL: nothing */
    void *held_arg;
    pid_t restarter; /* who asked, as it sees itself; 0: the caller, if the processes see it */
    crs_progress_fn progress;
    void *progress_arg;
    const struct kobj_given *given; /* in the place of what leads outside */
    size_t n_given;
    bool lazy;      /* memory comes later, where it can: */
    int fill_fd;    /* this end of a pair of sockets learns how it went (struct lazy_report) */
    bool gives_own; /* and else what the restarter has under the same number, or its standard input
                       or output */
};

/* Can this machine take it? Before anything is started. CRS_CANT_RESTART. */
int rebuild_check(const struct rebuild *rebuild, struct crs_error *err);

/* Build the process, as a child of the caller, and let it go. *ret_pid as the caller sees it. */
int rebuild_process(const struct rebuild *rebuild, pid_t *ret_pid, struct crs_error *err);

#endif
