/*
 * supervise.h - stay with a running program until it ends
 *
 * Purpose: what `crs run` and a foreground `crs restart` do while their program runs: pass signals
 * on, stop and continue with it under a shell's job control, and make checkpoints of it on request
 * (request.h), each in a thread of its own, one at a time.
 *
 * Call it with all signals blocked (child_signals_take()), from the thread that forked the program
 * or called crs_restart(). A thread that holds the program with ptrace would lose its stops to any
 * other wait, so nothing else in the process may wait for children meanwhile.
 *
 * Signals: what a terminal sends goes to the whole foreground process group, so the program has it
 * already, unless it moved into a group of its own. What was sent to us alone is passed on.
 */
#ifndef SERVICE_SUPERVISE_H
#define SERVICE_SUPERVISE_H

#include "base/error.h"

struct supervise_options {
    struct crs_restarted *program; /* to wait for; status_fd -1: our own child */
    const char *store, *name;      /* where checkpoints go that don't say it */
    int listen_fd;                 /* of request_listen(); -1: none */
};

struct supervise_result {
    int status; /* as of waitpid(2) */
    char
        *snapshot; /* it was ended by a checkpoint that asked for it: NAME@SEQ or a path; or NULL */
};

int supervise(const struct supervise_options *options, struct supervise_result *ret,
              struct crs_error *err);

#endif
