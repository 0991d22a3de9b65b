/* thread.c - threads whose stack does not depend on the caller's limit */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "base/thread.h"

#define STACK_SIZE (8u << 20) /* the usual limit; what isn't touched costs nothing */

int thread_start(pthread_t *ret, bool detached, void *(*run)(void *arg), void *arg)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int r = pthread_attr_init(&attributes);

    if (r != 0)
        return r;
    r = pthread_attr_setstacksize(&attributes, STACK_SIZE);
    if (r == 0 && detached)
        r = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (r == 0)
        r = pthread_create(ret ? ret : &thread, &attributes, run, arg);
    pthread_attr_destroy(&attributes);
    return r;
}

int thread_start_worker(pthread_t *ret, void *(*run)(void *arg), void *arg)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = thread_start(ret, false, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r;
}

struct spread_worker {
    void *(*run)(void *arg);
    void *arg;
    int processor;
    cpu_set_t all;
};

static void *run_spread(void *arg)
{
    const struct spread_worker w = *(struct spread_worker *)arg;
    cpu_set_t one;

    free(arg);
    CPU_ZERO(&one);
    CPU_SET(w.processor, &one);
    if (sched_setaffinity(0, sizeof(one), &one) == 0)
        sched_setaffinity(0, sizeof(w.all), &w.all); /* it stays where it is, for now */
    return w.run(w.arg);
}

static int start_on(pthread_t *ret, int processor, const cpu_set_t *all, void *(*run)(void *arg),
                    void *arg)
{
    struct spread_worker *w = malloc(sizeof(*w));

    if (!w)
        return ENOMEM;
    *w = (struct spread_worker){run, arg, processor, *all};
    int r = thread_start_worker(ret, run_spread, w);
    if (r != 0)
        free(w);
    return r;
}

unsigned thread_start_workers(pthread_t *ret, unsigned n, void *(*run)(void *arg), void *arg)
{
    unsigned started = 0;
    cpu_set_t all;

    CPU_ZERO(&all);
    if (sched_getaffinity(0, sizeof(all), &all) == 0 && (unsigned)CPU_COUNT(&all) <= n)
        for (int i = 0; i < CPU_SETSIZE; i++)
            if (CPU_ISSET(i, &all)) {
                if (start_on(&ret[started], i, &all, run, arg) != 0)
                    return started;
                started++;
            }
    while (started < n && thread_start_worker(&ret[started], run, arg) == 0)
        started++;
    return started;
}
