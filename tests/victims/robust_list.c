/*
 * robust_list.c - a thread that ends with a robust mutex held, and the address where the kernel
 * clears its ID: pthread_join() waits for that
 * link: -pthread
 */
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include "victim.h"

static pthread_mutex_t mutex;
static sem_t go, ready;

static void *hold(void *arg)
{
    MUST(pthread_mutex_lock(&mutex) == 0);
    sem_post(&ready);
    while (sem_wait(&go) < 0)
        ;
    return NULL; /* without unlocking */
}

static pthread_t start(void)
{
    pthread_t thread;

    MUST(pthread_create(&thread, NULL, hold, NULL) == 0);
    while (sem_wait(&ready) < 0)
        ;
    return thread;
}

/* With new IDs the lock word still names the old one, and the kernel does not see its owner in it.
 */
static bool ids_are_new(void)
{
    return strcmp(victim_situation(), "new") == 0;
}

int main(int argc, char **argv)
{
    pthread_mutexattr_t attributes;
    pthread_t thread;

    victim_init(argc, argv);
    MUST(sem_init(&go, 0, 0) == 0 && sem_init(&ready, 0, 0) == 0);
    MUST(pthread_mutexattr_init(&attributes) == 0);
    MUST(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
    MUST(pthread_mutex_init(&mutex, &attributes) == 0);
    thread = start();
    victim_ready();
    while (victim_wait()) {
        sem_post(&go);
        CHECK_EQ(pthread_join(thread, NULL), 0); /* the kernel cleared its ID and woke us */
        if (ids_are_new()) {
            MUST(pthread_mutex_init(&mutex, &attributes) == 0);
        } else {
            CHECK_EQ(pthread_mutex_trylock(&mutex), EOWNERDEAD);
            CHECK_EQ(pthread_mutex_consistent(&mutex), 0);
            CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
        }
        thread = start();
    }
    return 0;
}
