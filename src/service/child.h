/*
 * child.h - a command, started as our child
 *
 * child_start() forks; the child waits. Between that and child_go() the caller may make it known
 * (its PID is there) without descriptors of ours reaching it. child_go() lets it execute the
 * command, with the signal mask and the dispositions that we were started with.
 *
 * A command that is isolated has namespaces of its own (`namespaces`: enum of engine/namespaces.h),
 * and is a child of their supervisor, which is our child instead; to_wait is what waits for it.
 *
 * child_start() blocks all signals in the caller (they are for whoever supervises the child).
 * child_close_inherited() and child_leave_stdio() give up what the child got from us, so that the
 * ends of pipes are the child's alone.
 */
#ifndef SERVICE_CHILD_H
#define SERVICE_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include "base/error.h"
#include "crs.h"

struct child {
    pid_t pid;
    int go_fd;     /* written: go; closed: don't */
    int report_fd; /* read: the errno of a failed exec, or the end */
    struct crs_restarted to_wait;
};

/* namespaces 0: it isn't isolated. CRS_NOT_PERMITTED: it can't be. */
int child_start(char *const *argv, unsigned namespaces, struct child *ret, struct crs_error *err);

/* 0: the command runs. -errno of execvp(3) with words: it ended without having run. */
int child_go(struct child *child, const char *command, struct crs_error *err);

/* execvp(3) says EACCES also where a directory of PATH may not be searched and no other has the
 * command; a shell would say that there is none, and so does this. */
bool child_in_path(const char *command);

/* End a child that has not run yet. For a child that child_go() took: nothing. */
void child_drop(struct child *child);

/* Close all descriptors above standard error but those of `keep` (may be NULL); to be called before
 * others are opened. */
int child_close_inherited(const struct child *keep, struct crs_error *err);

/* Standard input and output become /dev/null. */
int child_leave_stdio(struct crs_error *err);

/* Block all signals, and let SIGCHLD be told to us; what was before, for a child. */
struct child_signals {
    sigset_t mask;
    struct sigaction sigchld;
};
int child_signals_take(struct child_signals *ret, struct crs_error *err);
void child_signals_give_back(const struct child_signals *signals);

/* End this process as the status (of waitpid) says: by the same exit code, or the same signal
 * without a core of ours. */
_Noreturn void child_end_like(int status);

#endif
