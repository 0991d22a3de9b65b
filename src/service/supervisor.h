/*
 * supervisor.h - what the supervisor's loop and its serving threads share
 */
#ifndef SERVICE_SUPERVISOR_H
#define SERVICE_SUPERVISOR_H

#include <pthread.h>
#include <stdbool.h>

#include "supervise.h"

struct supervisor {
    const struct supervise_options *options;
    int pidfd; /* of the program; -1: signals go by PID */
    int signal_fd;
    int wake_fd; /* eventfd: a serving thread has something for the loop */
    int stop_fd; /* eventfd: the program has ended, serving threads hurry */

    pthread_mutex_t lock;    /* for all below */
    pthread_cond_t idle;     /* n_serving became 0 */
    pthread_cond_t released; /* held has become false */
    unsigned n_serving;
    bool held;           /* a serving thread holds the program: the loop doesn't wait for it */
    bool ended;          /* the program has */
    int client_fd;       /* whose checkpoint is under way; -1: none */
    volatile int cancel; /* that checkpoint is not wanted any more */
    struct memory_session *session; /* of the one that holds the program */
    char *terminated;               /* the snapshot after which the program was killed */
};

/* Take a connection: it is answered in a thread of its own. Takes `fd` over. */
void serve_connection(struct supervisor *s, int fd);

/* Let the serving threads finish. Gives up after a few seconds; false then. */
bool serve_finish(struct supervisor *s);

#endif
