/*
 * sharing.c - a thread that has descriptors of its own is refused
 * refused: a table of descriptors of its own
 * link: -pthread
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include "victim.h"

static sem_t ready;

static void *run(void *arg)
{
    MUST(unshare(CLONE_FILES) == 0);
    sem_post(&ready);
    for (;;)
        pause();
    return arg;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    victim_init(argc, argv);
    MUST(sem_init(&ready, 0, 0) == 0);
    MUST(pthread_create(&thread, NULL, run, NULL) == 0);
    MUST(sem_wait(&ready) == 0);
    victim_ready();
    while (victim_wait())
        ;
    return 0;
}
