/*
 * limiter.h - no more than so many bytes a second, over all who write
 *
 * A bucket of tokens, told as an instant: when it will be full again. Whoever writes takes his
 * bytes first and waits until they have come in; a bucket that nobody draws from holds what comes
 * in within LIMITER_BURST_US, so that a pause isn't lost and no burst is felt.
 *
 * limiter_take() has no clock: tests give it one.
 */
#ifndef STORE_LIMITER_H
#define STORE_LIMITER_H

#include <pthread.h>

#include "base/error.h"
#include "store/store.h"

#define LIMITER_BURST_US 50000

struct limiter {
    pthread_mutex_t lock;
    uint64_t bytes_per_second; /* 0: no limit */
    uint64_t paid_until_us;    /* all that was taken has come in then */
    uint64_t rest;             /* of the division: millionths of a byte */
    struct store_patience patience;
};

void limiter_init(struct limiter *l, uint64_t bytes_per_second,
                  const struct store_patience *patience);
void limiter_clear(struct limiter *l);

/* Take so many bytes at that instant; returns the instant at which they may be written. */
uint64_t limiter_take(struct limiter *l, uint64_t bytes, uint64_t at_us);

/* Take them, and wait. Fails when the patience is at its end; it looks for that 50 times a second.
 */
int limiter_wait(struct limiter *l, uint64_t bytes, struct crs_error *err);

#endif
