/* flusher.c - what was written goes to the disk while more is being written */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>

#include "base/io.h"
#include "base/priority.h"
#include "base/thread.h"
#include "store/flusher.h"

void flusher_init(struct flusher *f, bool nice)
{
    *f = (struct flusher){.nice = nice};
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->work, NULL);
}

static bool has_disk(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) < 0 || (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC);
}

static void tell(const struct flusher_range *range)
{
    sync_file_range(range->fd, range->from, range->size, SYNC_FILE_RANGE_WRITE);
}

/* 0, or an errno of the disk's. */
static int wait_for(const struct flusher_range *range)
{
    if (sync_file_range(range->fd, range->from, range->size,
                        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                            SYNC_FILE_RANGE_WAIT_AFTER) == 0)
        return 0;
    /* file systems that can't do it */
    return errno == ENOSYS || errno == EINVAL || errno == ESPIPE ? 0 : errno;
}

/* The next one; false: it is to end. */
static bool take(struct flusher *f, bool wait, struct flusher_range *ret)
{
    while (wait && !f->stop && f->queue.n == 0)
        pthread_cond_wait(&f->work, &f->lock);
    if (f->stop || f->queue.n == 0)
        return false;
    *ret = f->queue.items[0];
    f->queue.n--;
    for (size_t i = 0; i < f->queue.n; i++)
        f->queue.items[i] = f->queue.items[i + 1];
    return true;
}

static void note_done(struct flusher *f, const struct flusher_range *range, int error,
                      uint64_t since_us)
{
    pthread_mutex_lock(&f->lock);
    if (f->error == 0)
        f->error = error;
    f->behind_bytes -= range->size;
    f->done_bytes += range->size;
    f->done_ns += (now_us() - since_us) * 1000;
    pthread_mutex_unlock(&f->lock);
}

/* Always two on their way: the disk is told of the next before the last is waited for. */
static void run(struct flusher *f)
{
    struct flusher_range last = {.fd = -1}, next = {.fd = -1};
    uint64_t since_us = 0;

    for (;;) {
        pthread_mutex_lock(&f->lock);
        bool more = take(f, last.fd < 0, &next), stop = f->stop;
        pthread_mutex_unlock(&f->lock);
        if (stop)
            return;
        if (last.fd < 0)
            since_us = now_us();
        if (more)
            tell(&next);
        if (last.fd >= 0) {
            int error = wait_for(&last);
            note_done(f, &last, error, since_us);
            since_us = now_us();
        }
        last = more ? next : (struct flusher_range){.fd = -1};
    }
}

static void *run_in_thread(void *arg)
{
    struct flusher *f = arg;

    if (f->nice)
        priority_lower();
    run(f);
    return NULL;
}

static bool start(struct flusher *f)
{
    f->started = thread_start_worker(&f->thread, run_in_thread, f) == 0;
    return f->started;
}

static bool queue(struct flusher *f, const struct flusher_range *range)
{
    if (!f->known) {
        f->useless = !has_disk(range->fd);
        f->known = true;
    }
    if (f->useless)
        return true;
    if (!f->started && !start(f))
        return false;
    struct flusher_range *place = ARRAY_ADD(&f->queue);
    if (!place)
        return false;
    *place = *range;
    f->behind_bytes += range->size;
    pthread_cond_signal(&f->work);
    return true;
}

void flusher_add(struct flusher *f, int fd, uint64_t from, uint64_t size)
{
    const struct flusher_range range = {fd, from, size};

    pthread_mutex_lock(&f->lock);
    bool queued = queue(f, &range);
    pthread_mutex_unlock(&f->lock);
    if (!queued)
        tell(&range);
}

uint64_t flusher_behind(struct flusher *f)
{
    pthread_mutex_lock(&f->lock);
    uint64_t behind = f->behind_bytes;
    pthread_mutex_unlock(&f->lock);
    return behind;
}

double flusher_speed(struct flusher *f)
{
    pthread_mutex_lock(&f->lock);
    double speed = f->done_ns > 0 ? (double)f->done_bytes / (double)f->done_ns : 0;
    pthread_mutex_unlock(&f->lock);
    return speed;
}

void flusher_stop(struct flusher *f)
{
    pthread_mutex_lock(&f->lock);
    bool started = f->started;
    f->stop = true;
    f->started = false;
    pthread_cond_signal(&f->work);
    pthread_mutex_unlock(&f->lock);
    if (started)
        pthread_join(f->thread, NULL);
    f->stop = false;
    f->queue.n = 0;
    f->behind_bytes = 0;
}

int flusher_finish(struct flusher *f)
{
    flusher_stop(f);
    return -f->error;
}

void flusher_clear(struct flusher *f)
{
    flusher_stop(f);
    free(f->queue.items);
    pthread_cond_destroy(&f->work);
    pthread_mutex_destroy(&f->lock);
}
