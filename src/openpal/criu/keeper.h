/*
 * keeper.h - processes beside the caller's: the worker, and who waits for it
 */
#ifndef OPENPAL_CRIU_KEEPER_H
#define OPENPAL_CRIU_KEEPER_H

#include <sys/types.h>

#include "openpal/criu/worker.h"

/* What the keeper writes into its pipe: first the worker's PID (a pid_t), in the end this. */
struct verdict {
    int status; /* of the worker, as of waitpid(2) */
    int finish; /* what the function `finish` has returned; 0 when it wasn't called */
};

/* The worker as the caller's child, with `fd` as its connection. 0 and its PID. It has the caller's
 * standard input, output and error too, from this number on. */
#define KEEPER_STDIO_FD 10
int keeper_start_child(const struct worker_how *how, int fd, pid_t *ret_pid);

/* The worker as the child of a keeper that writes a verdict to `verdict_fd`. A negative errno. */
int keeper_start(const struct worker_how *how, int fd, int verdict_fd);

/* An orphan that calls `body`, which may call only what a signal handler may. It has nothing open
 * but those, with numbers from KEEPER_FIRST_FD on. A negative errno. */
#define KEEPER_FIRST_FD  3
#define KEEPER_APART_FDS 3
int keeper_apart(void (*body)(void), const int fds[KEEPER_APART_FDS]);

#endif
