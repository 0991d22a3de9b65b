/*
 * stub_threads.c - many threads of a stub at once
 *
 * A thread whose making is reported takes four stops of who makes it. With CLONE_PTRACE it is ours
 * without a report, so one batch of calls makes many.
 */
#include <linux/sched.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "engine/stub.h"

#define AT_ONCE 64
#define FEW     4 /* not worth it */

/* The arguments of one clone3(2) that chooses the number. */
struct chosen {
    struct clone_args args;
    pid_t tid;
};

static int set_options(pid_t tid, long options, struct crs_error *err)
{
    return ptrace(PTRACE_SETOPTIONS, tid, 0, (void *)options) < 0
               ? crs_fail_errno(err, CRS_FAILED, "can't choose what thread %d reports", tid)
               : 0;
}

static int write_chosen(struct tracee *t, const pid_t *tids, size_t n, struct remote_call *calls,
                        struct crs_error *err)
{
    struct chosen blocks[AT_ONCE];

    for (size_t i = 0; i < n; i++) {
        uint64_t at = t->scratch + i * sizeof(blocks[0]);
        blocks[i] = (struct chosen){.args = {.flags = STUB_THREAD_FLAGS | CLONE_PTRACE,
                                             .set_tid = at + offsetof(struct chosen, tid),
                                             .set_tid_size = 1},
                                    .tid = tids[i]};
        calls[i] = (struct remote_call){SYS_clone3, {at, sizeof(blocks[i].args)}, 0};
    }
    return tracee_write(t, t->scratch, blocks, n * sizeof(blocks[0]), err);
}

/* 1: there are no batches here. */
static int make_some(struct tracee *t, const pid_t *tids, size_t n, struct remote_call *calls,
                     struct crs_error *err)
{
    struct tracee_thread *th = tracee_main(t);
    int r = tracee_prepare_calls(t, err);

    if (r == 0 && tids)
        r = write_chosen(t, tids, n, calls, err);
    for (size_t i = 0; !tids && i < n; i++)
        calls[i] = (struct remote_call){SYS_clone, {STUB_THREAD_FLAGS | CLONE_PTRACE}, 0};
    if (r == 0)
        r = set_options(th->tid, STUB_OPTIONS & ~PTRACE_O_TRACECLONE, err);
    if (r < 0)
        return r;
    r = arch_calls_in_batch(th, calls, n, err);
    int back = set_options(th->tid, STUB_OPTIONS, r < 0 ? NULL : err);
    return back < 0 && r >= 0 ? back : r;
}

static int add_one(struct tracee *t, pid_t tid, struct crs_error *err)
{
    int r = stub_add_thread(t, 0, tid, err);

    return r < 0 && tid ? crs_fail_at(err, r, "thread %d", tid) : r;
}

/* What couldn't be made (the number is in use, still) is tried again by itself, or told. */
static int take(struct tracee *t, pid_t tid, int64_t result, struct crs_error *err)
{
    if (result < 0)
        return add_one(t, tid, err);
    int r = tracee_adopt_thread(t, result, err);
    return r < 0 ? r : set_options(result, STUB_OPTIONS, err);
}

static int add_one_by_one(struct tracee *t, const pid_t *tids, size_t n, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_one(t, tids ? tids[i] : 0, err);
    return r;
}

static int add_some(struct tracee *t, const pid_t *tids, size_t n, struct crs_error *err)
{
    struct remote_call calls[AT_ONCE];
    int r = n < FEW ? 1 : make_some(t, tids, n, calls, err);

    if (r != 0)
        return r < 0 ? r : add_one_by_one(t, tids, n, err);
    for (size_t i = 0; i < n; i++) {
        if (r < 0 && calls[i].result < 0)
            continue;
        /* After a failure, too: all that were made end with the stub only if it has them. */
        int x = take(t, tids ? tids[i] : 0, calls[i].result, r < 0 ? NULL : err);
        r = r < 0 ? r : x;
    }
    return r;
}

int stub_add_threads(struct tracee *t, const pid_t *tids, size_t n, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i += AT_ONCE)
        r = add_some(t, tids ? tids + i : NULL, n - i < AT_ONCE ? n - i : AT_ONCE, err);
    return r;
}
