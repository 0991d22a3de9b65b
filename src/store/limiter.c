/* limiter.c - no more than so many bytes a second, over all who write */
#include <unistd.h>

#include "base/io.h"
#include "store/limiter.h"

#define NAP_US 20000

void limiter_init(struct limiter *l, uint64_t bytes_per_second,
                  const struct store_patience *patience)
{
    *l = (struct limiter){.bytes_per_second = bytes_per_second};
    if (patience)
        l->patience = *patience;
    pthread_mutex_init(&l->lock, NULL);
}

void limiter_clear(struct limiter *l)
{
    pthread_mutex_destroy(&l->lock);
}

uint64_t limiter_take(struct limiter *l, uint64_t bytes, uint64_t at_us)
{
    if (l->bytes_per_second == 0)
        return at_us;
    pthread_mutex_lock(&l->lock);
    if (l->paid_until_us + LIMITER_BURST_US < at_us) {
        l->paid_until_us = at_us - LIMITER_BURST_US;
        l->rest = 0;
    }
    __uint128_t cost = (__uint128_t)bytes * 1000000 + l->rest;
    l->paid_until_us += (uint64_t)(cost / l->bytes_per_second);
    l->rest = (uint64_t)(cost % l->bytes_per_second);
    uint64_t until = l->paid_until_us;
    pthread_mutex_unlock(&l->lock);
    return until > at_us ? until : at_us;
}

static int check_patience(const struct limiter *l, struct crs_error *err)
{
    if (l->patience.cancel && *l->patience.cancel)
        return crs_fail(err, CRS_FAILED, ECANCELED, "the checkpoint was cancelled");
    if (l->patience.deadline_us && now_us() > l->patience.deadline_us)
        return crs_fail(err, CRS_TIMED_OUT, ETIMEDOUT,
                        "the time ran out while the snapshot was written at the limit of %llu "
                        "bytes a second",
                        (unsigned long long)l->bytes_per_second);
    return 0;
}

int limiter_wait(struct limiter *l, uint64_t bytes, struct crs_error *err)
{
    if (l->bytes_per_second == 0)
        return 0;
    uint64_t until = limiter_take(l, bytes, now_us());
    int r = check_patience(l, err);
    for (uint64_t now; r == 0 && (now = now_us()) < until; r = check_patience(l, err))
        usleep(until - now < NAP_US ? (useconds_t)(until - now) : NAP_US);
    return r;
}
