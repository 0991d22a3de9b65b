/*
 * thread.h - threads whose stack does not depend on the caller's limit
 *
 * A thread gets the stack size of RLIMIT_STACK where nothing else is said, which may be too little
 * to work in (ulimit -s 64).
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* As pthread_create(3). detached: nobody joins it, and ret may be NULL. 0 or a positive errno. */
int thread_start(pthread_t *ret, bool detached, void *(*run)(void *arg), void *arg);

/* The same, joined by who starts it, and with all signals blocked from its first instruction on:
 * they are for the caller's threads. Programs that it starts would inherit that: they need a mask
 * of their own. */
int thread_start_worker(pthread_t *ret, void *(*run)(void *arg), void *arg);

/* So many of them, which share a large piece of work; how many were started. Where there are no
 * more processors than workers, each begins on one of its own: otherwise the scheduler may leave a
 * processor alone for tens of milliseconds because of a program that sleeps for moments on it. */
unsigned thread_start_workers(pthread_t *ret, unsigned n, void *(*run)(void *arg), void *arg);

#endif
