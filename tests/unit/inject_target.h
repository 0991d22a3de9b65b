/*
 * inject_target.h - a child whose threads are made to run functions; for the tests of that
 *
 * A call that returns what it should not, a register or a signal mask that has changed, is a
 * failure, in `shared`, which the child and the test have together.
 */
#ifndef INJECT_TARGET_H
#define INJECT_TARGET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/cooperation.h"

#define LIMIT_S 60

struct shared {
    atomic_int ready;        /* threads that are there */
    atomic_int tid;          /* of the last one */
    atomic_ulong runs;       /* of the injected function */
    atomic_ulong beats;      /* of the threads that spin */
    atomic_int failed;       /* the line */
    atomic_int taken_ms[16]; /* of the threads that wait */
    atomic_int go;
    atomic_int handled; /* signals */
    atomic_int result;  /* of one call: 1: as it should be; 2: not */
    int pipe[2];
};
extern struct shared *shared;

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition) && !atomic_load(&shared->failed))                                         \
            atomic_store(&shared->failed, __LINE__);                                               \
    } while (0)

/* ---- in the child ---- */

/* The function: it disturbs what it may. And what it returns to. */
void injected(void *arg, siginfo_t *info, void *context);
void restorer(void);

void is_ready(void);
void make_threads(void *(*body)(void *), size_t n);
/* Is ready, and waits in pause(2), which never returns. */
void *run_pause(void *arg);

/* ---- in the test ---- */

/* Start a child, which blocks SIGUSR2, and wait until n_threads are ready. */
pid_t start_target(void (*run)(void), int n_threads);
void end_target(pid_t pid);

/* Wait until *counter is at least from + by, and nothing has failed. */
void wait_until_moved(atomic_ulong *counter, unsigned long from, unsigned long by);

#endif
