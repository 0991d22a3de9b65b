/*
 * supervisor.h - PID 1 of a program's own namespaces
 *
 * A program that keeps its PIDs, or is isolated, lives in a user, PID and mount namespace of its
 * own (no privilege needed where user namespaces are allowed), and in others where that is wanted.
 * Their first process, the supervisor, has all capabilities in there, which the program doesn't
 * get; it makes the program, reaps what is orphaned, passes signals on, and reports how the program
 * ended.
 */
#ifndef ENGINE_SUPERVISOR_H
#define ENGINE_SUPERVISOR_H

#include "crs.h"
#include "engine/namespaces.h"

struct supervisor_work {
    unsigned namespaces; /* beside pid and mount, which there always are */
    /* In the supervisor: make the program, as its child. It may report to the caller. */
    int (*make)(const struct supervisor_work *work, int report_fd, pid_t *ret_pid,
                struct crs_error *err);
    const void *arg;
    crs_progress_fn progress; /* in the caller, of what is reported; NULL: none */
    void *progress_arg;
};

/*
 * Start a supervisor that makes the program. -EPERM with kind CRS_NOT_PERMITTED: such namespaces
 * can't be made here, nothing was started.
 */
int supervisor_start(const struct supervisor_work *work, struct crs_restarted *ret,
                     struct crs_error *err);

/* For make(): as crs_progress_fn, with the address of report_fd for its argument. */
void supervisor_report(const struct crs_progress *progress, void *report_fd);

/* For make(): dispositions of signals that a supervisor has, rather than those of the caller, which
 * it has after make() in any case. */
void supervisor_forget_signals(void);

/* The next status of the program from status_fd; see crs_restart_wait(). */
int supervisor_wait(struct crs_restarted *restarted, int wait_flags, int *ret_status,
                    struct crs_error *err);

#endif
