/*
 * spinlock.c - locks by busy waiting
 */
#include <sched.h>

#include "libcr.h"

#define EXPORTED __attribute__((visibility("default")))

#define FREE     CR_SPINLOCK_INITIALIZER
#define LOCKED   0x27182818u
#define N_ROUNDS 100 /* then others may run: the holder for one, where there is one processor */

EXPORTED void cr_spinlock_init(cr_spinlock_t *lock)
{
    __atomic_store_n(lock, FREE, __ATOMIC_RELEASE);
}

EXPORTED int cr_spinlock_trylock(cr_spinlock_t *lock)
{
    cr_spinlock_t expected = FREE;

    return __atomic_compare_exchange_n(lock, &expected, LOCKED, 0, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

EXPORTED void cr_spinlock_lock(cr_spinlock_t *lock)
{
    for (unsigned n = 1; !cr_spinlock_trylock(lock); n++)
        if (n % N_ROUNDS == 0)
            sched_yield();
}

EXPORTED void cr_spinlock_unlock(cr_spinlock_t *lock)
{
    __atomic_store_n(lock, FREE, __ATOMIC_RELEASE);
}
