/*
 * A static program of another C library: two threads, a timer's sleep, memory that grows.
 *
 * needs: musl-gcc
 * build: musl-gcc -static -O2 -pthread -o {bin} {src}
 * progress: 3
 * answer: checksum 8977213801093903831 of 30 blocks
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCKS     30
#define BLOCK_SIZE 300000

static unsigned char *blocks[BLOCKS];
static int made;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;

static void *maker(void *arg)
{
    uint64_t x = 88172645463325252u;
    struct timespec pause = {0, 80000000};

    for (int i = 0; i < BLOCKS; i++) {
        unsigned char *block = malloc(BLOCK_SIZE);
        for (int k = 0; k < BLOCK_SIZE; k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            block[k] = (unsigned char)x;
        }
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&mutex);
        blocks[made++] = block;
        pthread_cond_signal(&more);
        pthread_mutex_unlock(&mutex);
    }
    return arg;
}

int main(void)
{
    pthread_t thread;
    uint64_t sum = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    pthread_create(&thread, NULL, maker, NULL);
    for (int i = 0; i < BLOCKS; i++) {
        pthread_mutex_lock(&mutex);
        while (made <= i)
            pthread_cond_wait(&more, &mutex);
        pthread_mutex_unlock(&mutex);
        printf("block %d\n", i);
    }
    pthread_join(thread, NULL);
    for (int i = 0; i < BLOCKS; i++)
        for (int k = 0; k < BLOCK_SIZE; k++)
            sum = sum * 1099511628211u + blocks[i][k];
    printf("checksum %llu of %d blocks\n", (unsigned long long)sum, BLOCKS);
    return 0;
}
