/*
 * thread_prctl.c - names and prctl settings of threads
 * kinds: comm
 * link: -pthread
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>
#include "victim.h"

#define N_THREADS 4

static struct {
    sem_t asked, answered;
    char name[17];
    unsigned long slack;
    int death_signal;
} threads[N_THREADS];

static void set(int i)
{
    snprintf(threads[i].name, sizeof(threads[i].name), "a (%d)\n name", i);
    threads[i].slack = 60000 + i;
    threads[i].death_signal = i == 2 ? SIGUSR1 : 0;
    MUST(prctl(PR_SET_NAME, threads[i].name) == 0);
    MUST(prctl(PR_SET_TIMERSLACK, threads[i].slack) == 0);
    MUST(prctl(PR_SET_PDEATHSIG, threads[i].death_signal) == 0);
    if (i % 2)
        MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
}

static void check(int i)
{
    char name[17] = "";
    int death_signal = -1;

    CHECK(prctl(PR_GET_NAME, name) == 0);
    if (strcmp(name, threads[i].name) != 0)
        victim_fail("thread %d is named %s", i, name);
    CHECK_EQ(prctl(PR_GET_TIMERSLACK), threads[i].slack);
    CHECK(prctl(PR_GET_PDEATHSIG, &death_signal) == 0);
    /* A program that is restarted without a parent has no use for it; set() sets it again. */
    if (death_signal != 0 || strcmp(victim_situation(), "continue") == 0)
        CHECK_EQ(death_signal, threads[i].death_signal);
    CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), i % 2);
}

static void *run(void *arg)
{
    int i = (int)(intptr_t)arg;

    set(i);
    for (;;) {
        sem_post(&threads[i].answered);
        while (sem_wait(&threads[i].asked) < 0)
            ;
        check(i);
        set(i);
    }
    return NULL;
}

static void wait_for(int i)
{
    while (sem_wait(&threads[i].answered) < 0)
        ;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    victim_init(argc, argv);
    set(0);
    for (int i = 1; i < N_THREADS; i++) {
        MUST(sem_init(&threads[i].asked, 0, 0) == 0 && sem_init(&threads[i].answered, 0, 0) == 0);
        MUST(pthread_create(&thread, NULL, run, (void *)(intptr_t)i) == 0);
        wait_for(i);
    }
    victim_ready();
    while (victim_wait()) {
        check(0);
        for (int i = 1; i < N_THREADS; i++) {
            sem_post(&threads[i].asked);
            wait_for(i);
        }
    }
    return 0;
}
