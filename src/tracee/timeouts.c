/* timeouts.c - what was left of timeouts, over more than one time that a process is held */
#include <stdlib.h>

#include "base/io.h"
#include "tracee/timeouts.h"

void tracee_timeouts_clear(struct tracee_timeouts *timeouts)
{
    free(timeouts->array.items);
    *timeouts = (struct tracee_timeouts){0};
}

static int compare(const void *a, const void *b)
{
    const struct tracee_timeout *x = a, *y = b;

    return (x->tid > y->tid) - (x->tid < y->tid);
}

void tracee_use_timeouts(struct tracee *t, const struct tracee_timeouts *timeouts)
{
    uint64_t now = t->frozen_at_us;

    if (timeouts->array.n == 0)
        return;
    tracee_for_each_thread (t, th) {
        const struct tracee_timeout key = {.tid = th->tid};
        const struct tracee_timeout *then =
            bsearch(&key, timeouts->array.items, timeouts->array.n, sizeof(key), compare);
        if (!then || !th->has_remaining || !arch_is_same_call(th, &then->image))
            continue;
        uint64_t passed = now > then->at_us ? (now - then->at_us) * 1000 : 0;
        uint64_t left = then->remaining_ns > passed ? then->remaining_ns - passed : 0;
        if (left < th->remaining_ns)
            th->remaining_ns = left;
    }
}

int tracee_note_timeouts(const struct tracee *t, struct tracee_timeouts *timeouts)
{
    struct tracee_timeouts new = {0};

    tracee_for_each_thread (t, th) {
        if (!th->has_remaining)
            continue;
        struct tracee_timeout *one = ARRAY_ADD(&new.array);
        if (!one) {
            tracee_timeouts_clear(&new);
            return -ENOMEM;
        }
        *one = (struct tracee_timeout){th->tid, th->image, th->remaining_ns, t->frozen_at_us};
    }
    if (new.array.n > 1)
        qsort(new.array.items, new.array.n, sizeof(*new.array.items), compare);
    tracee_timeouts_clear(timeouts);
    *timeouts = new;
    return 0;
}
