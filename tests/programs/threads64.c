/*
 * 64 threads pass work along rings of mutexes and condition variables; barriers, rwlocks, a
 * semaphore and thread-local storage take part.
 *
 * build: gcc -O2 -pthread -o {bin} {src}
 * progress: 3
 * answer: total 3413760 in 40 rounds
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define THREADS 64
#define ROUNDS  40

struct slot {
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    int full;
    unsigned long value;
};

static struct slot slots[THREADS];
static pthread_barrier_t round_end;
static pthread_rwlock_t table = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t sum_mutex = PTHREAD_MUTEX_INITIALIZER;
static sem_t few;
static unsigned long sum;
static _Thread_local unsigned long mine;
static int slow; /* the tool is: it must meet us before the end */

static void put(struct slot *s, unsigned long value)
{
    pthread_mutex_lock(&s->mutex);
    while (s->full)
        pthread_cond_wait(&s->filled, &s->mutex);
    s->full = 1;
    s->value = value;
    pthread_cond_broadcast(&s->filled);
    pthread_mutex_unlock(&s->mutex);
}

static unsigned long take(struct slot *s)
{
    pthread_mutex_lock(&s->mutex);
    while (!s->full)
        pthread_cond_wait(&s->filled, &s->mutex);
    unsigned long value = s->value;
    s->full = 0;
    pthread_cond_broadcast(&s->filled);
    pthread_mutex_unlock(&s->mutex);
    return value;
}

static void one_round(unsigned long me)
{
    struct timespec pause = {0, slow ? 200000000 : 20000000};

    put(&slots[(me + 1) % THREADS], me);
    unsigned long got = take(&slots[me]);
    pthread_rwlock_rdlock(&table);
    mine += got;
    pthread_rwlock_unlock(&table);
    sem_wait(&few);
    nanosleep(&pause, NULL);
    sem_post(&few);
    pthread_barrier_wait(&round_end);
}

static void *work(void *arg)
{
    unsigned long me = (unsigned long)arg;

    for (int round = 0; round < ROUNDS; round++) {
        one_round(me);
        if (me == 0)
            printf("round %d\n", round);
    }
    pthread_mutex_lock(&sum_mutex);
    sum += mine * (me + 1);
    pthread_mutex_unlock(&sum_mutex);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];

    slow = getenv("CRS_TESTS_SLOW") != NULL;
    setvbuf(stdout, NULL, _IOLBF, 0);
    pthread_barrier_init(&round_end, NULL, THREADS);
    sem_init(&few, 0, 24);
    for (unsigned long i = 0; i < THREADS; i++) {
        pthread_mutex_init(&slots[i].mutex, NULL);
        pthread_cond_init(&slots[i].filled, NULL);
    }
    for (unsigned long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("total %lu in %d rounds\n", sum, ROUNDS);
    return 0;
}
