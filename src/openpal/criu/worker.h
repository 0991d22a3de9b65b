/*
 * worker.h - a `criu swrk`, and one request after another to it
 *
 *     struct worker worker = WORKER_NONE;
 *     r = worker_start(&how, &worker, err);
 *     r = worker_call(&worker, &request, &response, err);     // free by worker_response_free()
 *     r = worker_end(&worker, err);                           // also after a failure
 *
 * CRIU saves a process with all its children. So that a process can have itself saved, the worker
 * is not a child of the caller's: it is one of a keeper's, which has no relatives here, waits for
 * its end and tells it. The caller's wait(2) sees neither, and gets no SIGCHLD (but for one where
 * the keeper has to `finish`). A restore needs the worker as a child: the restored process becomes
 * one, too.
 *
 * Threads: any, each with a worker of its own.
 */
#ifndef OPENPAL_CRIU_WORKER_H
#define OPENPAL_CRIU_WORKER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "openpal/criu/criu_rpc.pb-c.h"

/* An answer has some hundred bytes. */
#define WORKER_MAX_ANSWER_BYTES (64 * 1024)

/* How it finds the images, without a descriptor of the caller's, which would be in the image. (The
 * path itself isn't understood: CRIU wants a symbolic link there.) */
#define WORKER_DIRECTORY "/proc/self/fd/5"

struct worker_how {
    const char *program;
    bool as_child;    /* for a restore, or where all orphans are the caller's children anyway */
    const int *stdio; /* three, for a restored process; NULL: the caller's */
    int stderr_fd;    /* for its standard error; -1: nowhere */
    const char *directory; /* which is WORKER_DIRECTORY for it */
    /* Called by the keeper once the worker has ended and a dump is complete, before that is told;
     * NULL: nothing. Returns 0 or a positive errno value. It runs in a fork of the caller. */
    int (*finish)(void *arg);
    void *arg;
};

struct worker {
    int fd;         /* the connection */
    int verdict_fd; /* the keeper's */
    pid_t child;    /* 0: it has a keeper */
    bool confused;  /* it doesn't answer as CRIU does: it isn't waited for, but ended */
};
#define WORKER_NONE                                                                                \
    {                                                                                              \
        .fd = -1, .verdict_fd = -1                                                                 \
    }

int worker_start(const struct worker_how *how, struct worker *ret, struct crs_error *err);

/* Sends, waits for the answer and checks its type; whether it is of success is the caller's to see.
 * When the worker ends without one, -EPIPE. */
int worker_call(struct worker *worker, const CriuRpc__Request *request,
                CriuRpc__Response **ret_response, struct crs_error *err);
void worker_response_free(CriuRpc__Response *response);

/* Closes the connection and waits for the worker's end, and what `finish` has returned. An error
 * when it was not ended with success. */
int worker_end(struct worker *worker, struct crs_error *err);

/* In a process that was saved while it waited for the answer, and has been restored: the worker and
 * the keeper are those of another life. */
void worker_forget(struct worker *worker);

#endif
