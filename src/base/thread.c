/* thread.c - threads whose stack does not depend on the caller's limit */
#include <signal.h>

#include "thread.h"

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
