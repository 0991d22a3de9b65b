/*
 * timerfd_late.c - many timers, some of which expire at the very moment when they are looked at:
 * periodic ones, and single ones that are set again each time; none is forgotten
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/timerfd.h>
#include "victim.h"

#define N 200

static int timers[N];
static atomic_ulong ticks[N];

static void set(int i)
{
    struct itimerspec its = {.it_value = {0, 5000000 + i * 100000}};

    if (i % 2)
        its.it_interval = its.it_value;
    MUST(timerfd_settime(timers[i], 0, &its, NULL) == 0);
}

static void *read_all(void *arg)
{
    uint64_t n;

    for (;; victim_sleep_ms(1))
        for (int i = 0; i < N; i++)
            if (read(timers[i], &n, sizeof(n)) == sizeof(n)) {
                atomic_fetch_add(&ticks[i], n);
                if (i % 2 == 0)
                    set(i);
            }
    return arg;
}

static bool all_tick(const unsigned long *before)
{
    for (int i = 0; i < N; i++)
        if (atomic_load(&ticks[i]) == before[i])
            return false;
    return true;
}

int main(int argc, char **argv)
{
    unsigned long before[N];
    pthread_t thread;

    victim_init(argc, argv);
    for (int i = 0; i < N; i++) {
        timers[i] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
        MUST(timers[i] >= 0);
        set(i);
    }
    MUST(pthread_create(&thread, NULL, read_all, NULL) == 0);
    victim_ready();
    while (victim_wait()) {
        for (int i = 0; i < N; i++)
            before[i] = atomic_load(&ticks[i]);
        for (int ms = 0; ms < 10000 && !all_tick(before); ms += 5)
            victim_sleep_ms(5);
        for (int i = 0; i < N; i++)
            if (atomic_load(&ticks[i]) == before[i])
                victim_fail("timer %d stands still", i);
    }
    return 0;
}
