/*
 * taken_events.c - io_getevents that had some of its events when the stop interrupted it
 *
 * The kernel returns what the call has by then, be it fewer than it is to wait for. So the events
 * are put back: the ring's head, which is memory of the process, is set back where the events still
 * stand right before it, as when nobody has taken any since. The kernel lets a program have half as
 * many requests in flight as the ring has places, and so nothing comes over them.
 */
#include <linux/aio_abi.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "tracee/arch/x86_64/internal.h"

#define RING_MAGIC 0xa10a10a1u
#define MAX_PLACES (1u << 24)
#define EVENT_SIZE sizeof(struct io_event)

/* What the ring begins with. */
struct ring_head {
    uint32_t id, n_places, head, tail, magic, features[2], length;
};

/* The call's arguments, and what it would return. */
struct getevents {
    uint64_t ring, events;
    uint32_t n;
};

static bool is_short(const struct user_regs_struct *u, struct getevents *ret)
{
    if (u->orig_rax != SYS_io_getevents && u->orig_rax != SYS_io_pgetevents)
        return false;
    *ret = (struct getevents){.ring = u->rdi, .events = u->r10, .n = (uint32_t)u->rax};
    return (int64_t)u->rax > 0 && (int64_t)u->rax < (int64_t)u->rsi && u->rax < MAX_PLACES;
}

static bool read_head(struct tracee *t, const struct getevents *call, struct ring_head *ret)
{
    if (tracee_read(t, call->ring, ret, sizeof(*ret), NULL) < 0 || ret->magic != RING_MAGIC ||
        ret->n_places > MAX_PLACES || ret->head >= ret->n_places || ret->tail >= ret->n_places)
        return false;
    uint32_t unread = (ret->tail + ret->n_places - ret->head) % ret->n_places;
    return unread + call->n < ret->n_places;
}

/* Are the events that the call has taken those that stand in the ring from `place` on? */
static bool stand_there(struct tracee *t, const struct getevents *call,
                        const struct ring_head *head, uint32_t place)
{
    uint32_t n = call->n, first = n < head->n_places - place ? n : head->n_places - place;
    _cleanup_free_ char *taken = malloc(n * EVENT_SIZE), *ring = malloc(n * EVENT_SIZE);
    uint64_t begin = call->ring + sizeof(*head);

    return taken && ring && tracee_read(t, call->events, taken, n * EVENT_SIZE, NULL) == 0 &&
           tracee_read(t, begin + place * EVENT_SIZE, ring, first * EVENT_SIZE, NULL) == 0 &&
           tracee_read(t, begin, ring + first * EVENT_SIZE, (n - first) * EVENT_SIZE, NULL) == 0 &&
           memcmp(taken, ring, n * EVENT_SIZE) == 0;
}

int arch_put_events_back(struct tracee_thread *th, struct crs_error *err)
{
    struct tracee *t = th->owner;
    struct getevents call;
    struct ring_head head;

    if (!is_short(&th->regs.user, &call) || !read_head(t, &call, &head))
        return 0;
    uint32_t place = (head.head + head.n_places - call.n) % head.n_places;
    if (!stand_there(t, &call, &head, place))
        return 0;
    int r =
        tracee_write(t, call.ring + offsetof(struct ring_head, head), &place, sizeof(place), err);
    if (r == 0)
        r = interrupted_make_again(th, err);
    return r < 0 ? r : 1;
}
