/*
 * tid_address.c - the IDs that threads keep of themselves stay right: signals to threads arrive,
 * threads can be joined
 * link: -pthread
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include "victim.h"

static sem_t woken, go;
static pthread_t first;

static void on_signal(int number)
{
    sem_post(&woken);
}

static void *run(void *arg)
{
    while (sem_wait(&go) < 0)
        ;
    return (void *)(intptr_t)syscall(SYS_gettid);
}

static void wait_woken(void)
{
    while (sem_wait(&woken) < 0)
        ;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    void *result;

    victim_init(argc, argv);
    first = pthread_self();
    MUST(sem_init(&woken, 0, 0) == 0 && sem_init(&go, 0, 0) == 0);
    MUST(signal(SIGUSR1, on_signal) != SIG_ERR);
    MUST(pthread_create(&thread, NULL, run, NULL) == 0);
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(pthread_kill(thread, SIGUSR1), 0); /* to the ID that the library knows */
        wait_woken();
        CHECK_EQ(pthread_kill(first, SIGUSR1), 0);
        wait_woken();
        CHECK_EQ(raise(SIGUSR1), 0);
        wait_woken();
        sem_post(&go);
        CHECK_EQ(pthread_join(thread, &result), 0);
        CHECK((intptr_t)result > 0);
        MUST(pthread_create(&thread, NULL, run, NULL) == 0);
    }
    return 0;
}
