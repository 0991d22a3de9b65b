/*
 * io_uring_wind.c - a new io_uring's counters, brought to where they were
 *
 * The kernel's own counters can't be set. So as many requests are made as the old ring has had,
 * that do nothing: 40 to 70 ns each, 3 to 5 minutes for as many as can be counted (2^32).
 */
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/io_uring_wind.h"
#include "kobj/shelter.h"

#define MANY          500000000u /* worth a word: some seconds */
#define MOST_CALLS    64
#define REST_US       20
#define STUCK_TIME_US (60 * 1000000)

/* What was answered makes room. */
static void take_answers(const struct uring_map *map)
{
    const struct io_cqring_offsets *cq = &map->layout.params.cq_off;

    *uring_word(map, cq->head) = *uring_word(map, cq->tail);
}

static uint32_t taken(const struct uring_map *map)
{
    return *uring_word(map, map->layout.params.sq_off.head);
}

static bool may_go_on(int64_t result)
{
    return result > 0 || result == -EAGAIN || result == -EINTR;
}

/* ---- a ring that any thread may use ---- */

struct run {
    const struct uring_winder *w;
    uint32_t target;
    int result;
};

/* In a process of its own, in the shape of which the ring would keep us in mind as a user. */
static void submit(void *arg)
{
    struct run *run = arg;
    const struct uring_map *map = run->w->map;
    uint32_t n = map->layout.params.sq_entries;

    while (taken(map) != run->target) {
        long r = syscall(SYS_io_uring_enter, run->w->fd, n, 0, 0, NULL, 0);
        if (r < 0 && !may_go_on(-errno)) {
            run->result = -errno;
            return;
        }
        take_answers(map);
    }
}

static int submit_ourselves(const struct uring_winder *w, uint32_t target)
{
    struct run run = {w, target, 0};
    int r = shelter(submit, &run);

    return r < 0 ? r : run.result;
}

/* ---- one that only a thread of the program may use ---- */

static int submit_remotely(const struct uring_winder *w, uint32_t target, struct crs_error *err)
{
    const struct io_uring_params *params = &w->map->layout.params;
    uint32_t n = params->cq_entries / params->sq_entries; /* as many as there is room for answers */
    struct remote_call calls[MOST_CALLS];

    n = n > MOST_CALLS ? MOST_CALLS : n;
    while (taken(w->map) != target) {
        for (uint32_t i = 0; i < n; i++)
            calls[i] = (struct remote_call){
                SYS_io_uring_enter, {w->remote_fd, params->sq_entries, 0, 0, 0, 0}, 0};
        int r = tracee_calls(w->thread, calls, n, err);
        if (r < 0)
            return r;
        if (taken(w->map) != target && !may_go_on(calls[n - 1].result))
            return crs_fail(err, CRS_CANT_RESTART, calls[n - 1].result ? -calls[n - 1].result : EIO,
                            "can't make requests in an io_uring");
        take_answers(w->map);
    }
    return 0;
}

/* ---- one with a thread of its own ---- */

static int wake(const struct uring_winder *w, struct crs_error *err)
{
    const struct io_uring_params *params = &w->map->layout.params;
    int64_t result;

    if (!(*uring_word(w->map, params->sq_off.flags) & IORING_SQ_NEED_WAKEUP))
        return 0;
    return REMOTE_CHECKED(w->thread, &result, err, CRS_CANT_RESTART,
                          "wake the thread of an io_uring", SYS_io_uring_enter, w->remote_fd, 0, 0,
                          IORING_ENTER_SQ_WAKEUP);
}

/* It takes what it is given: no more than there is room for answers. */
static int let_thread_submit(const struct uring_winder *w, uint32_t target, struct crs_error *err)
{
    const struct io_uring_params *params = &w->map->layout.params;
    _Atomic uint32_t *tail = uring_word(w->map, params->sq_off.tail);
    int r = 0;

    while (r == 0 && *tail != target) {
        uint64_t until = now_us() + STUCK_TIME_US;
        uint32_t rest = target - *tail;
        *tail += rest < params->sq_entries ? rest : params->sq_entries;
        while (r == 0 && taken(w->map) != *tail) {
            r = wake(w, err);
            if (now_us() > until)
                return crs_fail(err, CRS_CANT_RESTART, ETIMEDOUT,
                                "the thread of an io_uring doesn't work");
            usleep(REST_US);
        }
        take_answers(w->map);
    }
    return r;
}

/* ---- all ---- */

/* Zeros are requests that do nothing. */
static void prepare(const struct uring_map *map, bool silent)
{
    const struct io_uring_params *params = &map->layout.params;

    memset(map->sqes, 0, map->layout.sqes_size);
    for (uint32_t i = 0; i < params->sq_entries; i++) {
        struct io_uring_sqe *sqe = (void *)(map->sqes + i * map->layout.sqe_size);
        sqe->flags = silent ? URING_SQE_SKIP : 0;
        if (map->layout.has_array)
            ((uint32_t *)(map->ring + params->sq_off.array))[i] = i;
    }
}

static int wind_to(const struct uring_winder *w, uint32_t target, bool silent,
                   struct crs_error *err)
{
    const struct io_uring_params *params = &w->map->layout.params;
    int r = 0;

    if (taken(w->map) == target)
        return 0;
    prepare(w->map, silent);
    if (params->flags & IORING_SETUP_SQPOLL)
        return let_thread_submit(w, target, err);
    *uring_word(w->map, params->sq_off.tail) = target;
    if (params->flags & URING_SETUP_SINGLE_ISSUER)
        return submit_remotely(w, target, err);
    r = submit_ourselves(w, target);
    return r < 0 ? crs_fail(err, CRS_CANT_RESTART, -r, "can't make requests in an io_uring: %s",
                            strerror(-r))
                 : 0;
}

int uring_wind(const struct uring_winder *w, uint32_t sq_consumed, uint32_t cq_posted,
               struct crs_error *err)
{
    const struct io_uring_params *params = &w->map->layout.params;
    int r;

    if (sq_consumed > MANY)
        kobj_warn(w->ctx->progress, w->ctx->progress_arg,
                  "an io_uring has had %u requests: bringing its counters there takes about %u s",
                  sq_consumed, sq_consumed / 15000000);
    r = wind_to(w, cq_posted, false, err);
    if (r == 0)
        r = wind_to(w, sq_consumed, true, err);
    if (r == 0 && (*uring_word(w->map, params->cq_off.tail) != cq_posted ||
                   *uring_word(w->map, params->cq_off.overflow) != 0))
        r = crs_fail(err, CRS_CANT_RESTART, ENOTSUP,
                     "the counters of an io_uring can't be brought to %u and %u (Linux 5.17 or "
                     "newer can)",
                     sq_consumed, cq_posted);
    return r;
}
