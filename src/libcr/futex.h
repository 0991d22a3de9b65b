/*
 * futex.h - waiting for a word, without touching errno
 *
 * A wait may end early, for no reason: who waits looks at the word again.
 */
#ifndef LIBCR_FUTEX_H
#define LIBCR_FUTEX_H

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* So much later than now. */
static inline struct timespec cri_time_after(const struct timespec *time)
{
    struct timespec end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += time->tv_sec;
    end.tv_nsec += time->tv_nsec;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    return end;
}

/* While *word == value, up to the time (NULL: without limit). 0 or a negative errno. The kernel is
 * told when the wait ends, not how long it takes: the latter the tool would have to measure. So
 * time in which the process is held counts, but never for more than this one wait. */
static inline int cri_futex_wait_for(uint32_t *word, uint32_t value, const struct timespec *time,
                                     bool shared)
{
    struct timespec end = time ? cri_time_after(time) : (struct timespec){0};
    int saved = errno, op = FUTEX_WAIT_BITSET | (shared ? 0 : FUTEX_PRIVATE_FLAG);
    int r = syscall(SYS_futex, word, op, value, time ? &end : NULL, NULL, FUTEX_BITSET_MATCH_ANY);

    r = r < 0 ? -errno : 0;
    errno = saved;
    return r;
}

/* timeout_ms 0: without limit. */
static inline int cri_futex_wait(uint32_t *word, uint32_t value, unsigned timeout_ms)
{
    struct timespec time = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

    return cri_futex_wait_for(word, value, timeout_ms ? &time : NULL, false);
}

static inline void cri_futex_wake(uint32_t *word)
{
    int saved = errno;

    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    errno = saved;
}

static inline uint32_t cri_load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void cri_store(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* True if it was `from`, and is `to` now. */
static inline bool cri_change(uint32_t *word, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

#endif
