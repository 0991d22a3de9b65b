/*
 * busy_threads.c - a thread that computes, and some that go in and out of calls that an
 * interruption ends: all of them are held together, and none sees EINTR
 *
 * link: -lpthread
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "victim.h"

#define N_THREADS 5

static atomic_ulong turns[N_THREADS];
static atomic_int interrupted;

static void *compute(void *arg)
{
    atomic_ulong *turn = arg;

    for (;;)
        atomic_fetch_add(turn, 1);
    return NULL;
}

/* In the call for a moment only: a thread that was seen running may be in it when it is stopped. */
static void *wait_for_events(void *arg)
{
    atomic_ulong *turn = arg;
    struct epoll_event event;
    int fd = epoll_create1(EPOLL_CLOEXEC);

    for (;;) {
        if (epoll_wait(fd, &event, 1, (int)(atomic_fetch_add(turn, 1) % 2)) < 0)
            atomic_store(&interrupted, errno);
        for (volatile int i = 0; i < 10000; i++)
            ;
    }
    return NULL;
}

static void *wait_for_signal(void *arg)
{
    struct timespec moment = {.tv_nsec = 100000};
    atomic_ulong *turn = arg;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    for (;;) {
        if (sigtimedwait(&set, NULL, &moment) < 0 && errno != EAGAIN)
            atomic_store(&interrupted, errno);
        atomic_fetch_add(turn, 1);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    void *(*const what[N_THREADS])(void *arg) = {compute, wait_for_events, wait_for_signal,
                                                 wait_for_events, wait_for_signal};
    unsigned long before[N_THREADS] = {0};
    pthread_t thread;

    victim_init(argc, argv);
    for (int i = 0; i < N_THREADS; i++)
        CHECK(pthread_create(&thread, NULL, what[i], &turns[i]) == 0);
    victim_ready();
    while (victim_wait()) {
        CHECK(atomic_load(&interrupted) == 0);
        for (int i = 0; i < N_THREADS; i++) { /* each goes on */
            unsigned long now = atomic_load(&turns[i]);
            CHECK(now >= before[i]);
            while (atomic_load(&turns[i]) == now)
                victim_sleep_ms(1);
            before[i] = now;
        }
    }
    return 0;
}
