/*
 * supervise.h - a process that stands in the place of another
 *
 * CRIU restores a process under its old PID, so it can't become the caller. The caller stays as its
 * parent instead: it passes signals on, stops when the process stops and ends as the process ends.
 *
 * Threads: of a caller that has one.
 */
#ifndef OPENPAL_CRIU_SUPERVISE_H
#define OPENPAL_CRIU_SUPERVISE_H

#include <signal.h>
#include <sys/types.h>

struct supervision {
    sigset_t before;
};

/* From now on signals wait, so that none is lost before there is a process to pass it to. */
void supervise_begin(struct supervision *ret);
void supervise_cancel(const struct supervision *supervision);

/* Calls `before_end` once the process has ended. */
_Noreturn void supervise(pid_t pid, void (*before_end)(void *arg), void *arg);

#endif
