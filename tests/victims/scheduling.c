/*
 * scheduling.c - policy, nice value, processors and I/O priority, of each thread
 * kinds: ioprio
 * link: -pthread
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "victim.h"

#define N_THREADS 3

static sem_t asked, answered;
static cpu_set_t allowed; /* what this machine or container gives */
static int least;         /* the nice value that the test itself has: less needs privilege */

/* The first one for thread 1, the last one for thread 2. */
static int processor(int i)
{
    int cpu = i == 1 ? 0 : CPU_SETSIZE - 1;

    while (!CPU_ISSET(cpu, &allowed))
        cpu += i == 1 ? 1 : -1;
    return cpu;
}

static int io_priority(int i)
{
    return 2 << 13 | (3 + i); /* best effort */
}

static int nice_value(int i)
{
    return least + 5 + i < 19 ? least + 5 + i : 19;
}

static void set(int i)
{
    static const int policies[N_THREADS] = {SCHED_OTHER, SCHED_BATCH, SCHED_IDLE};
    const struct sched_param none = {0};
    cpu_set_t one;

    MUST(sched_setscheduler(0, policies[i] | (i == 1 ? SCHED_RESET_ON_FORK : 0), &none) == 0);
    MUST(setpriority(PRIO_PROCESS, 0, nice_value(i)) == 0);
    MUST(syscall(SYS_ioprio_set, 1, 0, io_priority(i)) == 0);
    if (i == 0)
        return;
    CPU_ZERO(&one);
    CPU_SET(processor(i), &one);
    MUST(sched_setaffinity(0, sizeof(one), &one) == 0);
}

static void check(int i)
{
    static const int policies[N_THREADS] = {SCHED_OTHER, SCHED_BATCH | SCHED_RESET_ON_FORK,
                                            SCHED_IDLE};
    cpu_set_t now;

    CHECK_EQ(sched_getscheduler(0), policies[i]);
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), nice_value(i));
    CHECK_EQ(syscall(SYS_ioprio_get, 1, 0), io_priority(i));
    CHECK(sched_getaffinity(0, sizeof(now), &now) == 0);
    if (i == 0) {
        CHECK(CPU_EQUAL(&now, &allowed));
    } else {
        CHECK_EQ(CPU_COUNT(&now), 1);
        CHECK(CPU_ISSET(processor(i), &now));
    }
}

static void *run(void *arg)
{
    int i = (int)(intptr_t)arg;

    set(i);
    for (;;) {
        sem_post(&answered);
        while (sem_wait(&asked) < 0)
            ;
        check(i);
    }
    return NULL;
}

static void wait_for_one(void)
{
    while (sem_wait(&answered) < 0)
        ;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    victim_init(argc, argv);
    least = getpriority(PRIO_PROCESS, 0);
    MUST(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
    MUST(sem_init(&asked, 0, 0) == 0 && sem_init(&answered, 0, 0) == 0);
    for (int i = 1; i < N_THREADS; i++) {
        MUST(pthread_create(&thread, NULL, run, (void *)(intptr_t)i) == 0);
        wait_for_one();
    }
    set(0);
    victim_ready();
    while (victim_wait()) {
        check(0);
        for (int i = 1; i < N_THREADS; i++)
            sem_post(&asked);
        for (int i = 1; i < N_THREADS; i++)
            wait_for_one();
    }
    return 0;
}
