/*
 * flusher.h - what was written goes to the disk while more is being written
 *
 * The sync at the end then finds little left. A thread of its own waits for the disk, so that the
 * threads that copy memory don't, and how far behind it is tells how fast the disk is.
 *
 * Threads: any. flusher_stop() ends the thread; what it had not done is left to the sync.
 */
#ifndef STORE_FLUSHER_H
#define STORE_FLUSHER_H

#include <pthread.h>
#include <stdbool.h>

#include "base/array.h"

struct flusher_range {
    int fd;
    uint64_t from, size;
};

struct flusher {
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t work;
    pthread_t thread;
    bool started, stop;
    bool useless; /* the file system has no disk behind it */
    bool known;
    bool nice;
    ARRAY_OF(struct flusher_range) queue;
    uint64_t behind_bytes; /* of the queue, and of what the thread waits for */
    int error;             /* the first that the disk had, an errno */
    uint64_t done_bytes,
        done_ns; /* what the disk has taken, and how long it had something to take */
};

/* nice: it takes the lowest priority. */
void flusher_init(struct flusher *f, bool nice);
/* `fd` stays open until flusher_stop(). Without memory or a thread the disk is told and not waited
 * for. */
void flusher_add(struct flusher *f, int fd, uint64_t from, uint64_t size);
uint64_t flusher_behind(struct flusher *f);
/* Bytes that the disk takes in a nanosecond; 0: not known (yet). */
double flusher_speed(struct flusher *f);
void flusher_stop(struct flusher *f); /* may be called again */
/* Stop, and tell whether the disk has refused something: -errno. The kernel tells each failure
 * once: a sync of a file that was opened after the thread was told of it says nothing any more. */
int flusher_finish(struct flusher *f);
void flusher_clear(struct flusher *f);

#endif
