/*
 * sharing.c - what threads share: all of it, as pthread_create() makes them; processes share none
 *
 * A thread may part with its table of descriptors or its directory and umask by unshare(2); such a
 * process would come back with one of each, so it is refused. And so are processes that share these
 * or their memory, as clone(2) can make them: they would come back with one of each of their own.
 */
#include <linux/kcmp.h>
#include <string.h>
#include <sys/syscall.h>

#include "kobj/attributes.h"

static long compare(pid_t a, pid_t b, int what)
{
    return syscall(SYS_kcmp, a, b, what, 0UL, 0UL);
}

static int check_shared(struct tracee *t, struct tracee_thread *thread, int what, const char *words,
                        struct crs_error *err)
{
    long r = compare(tracee_main(t)->tid, thread->tid, what);

    if (r == 0 || (r < 0 && errno == ENOSYS))
        return 0;
    if (r < 0)
        return crs_fail_errno(err, CRS_CANT_CHECKPOINT, "can't compare threads of process %d",
                              t->pid);
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "thread %d of process %d has %s of its own (unshare): that can't be saved",
                    thread->tid, t->pid, words);
}

static int dump_sharing(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    struct tracee *t = ctx->t;

    tracee_for_each_thread (t, thread) {
        int r = check_shared(t, thread, KCMP_FILES, "a table of descriptors", err);
        if (r == 0)
            r = check_shared(t, thread, KCMP_FS, "a working directory and umask", err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- between processes ---- */

static const struct {
    int what;
    const char *words;
} shared[] = {
    {KCMP_VM, "memory (CLONE_VM)"},
    {KCMP_FILES, "table of descriptors (CLONE_FILES)"},
    {KCMP_FS, "working directory and umask (CLONE_FS)"},
};

static int refuse_shared(const struct tracee *a, const struct tracee *b, const char *words,
                         struct crs_error *err)
{
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "processes %d and %d share their %s without being threads of one process: that "
                    "can't be saved; take the checkpoint when one of them has ended",
                    a->pid, b->pid, words);
}

/* Put one more among those sorted by the order that kcmp(2) gives; equal ones share it. */
static int sort_in(struct tracee **sorted, size_t n, struct tracee *t, size_t row,
                   struct crs_error *err)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        long order =
            compare(tracee_main(sorted[middle])->tid, tracee_main(t)->tid, shared[row].what);
        if (order < 0)
            return crs_fail_errno(err, CRS_CANT_CHECKPOINT, "can't compare processes %d and %d",
                                  sorted[middle]->pid, t->pid);
        if (order == 0)
            return refuse_shared(sorted[middle], t, shared[row].words, err);
        if (order == 1)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(sorted + low + 1, sorted + low, (n - low) * sizeof(*sorted));
    sorted[low] = t;
    return 0;
}

int kobj_check_sharing(const struct kobj_dump *ctx, struct crs_error *err)
{
    _cleanup_free_ struct tracee **sorted = calloc(ctx->members.n, sizeof(*sorted));
    int r = 0;

    if (!sorted)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t row = 0; row < ELEMENTS(shared); row++)
        for (size_t i = 0; r == 0 && i < ctx->members.n; i++)
            r = sort_in(sorted, i, ctx->members.items[i].t, row, err);
    return r;
}

const struct kobj_process_kind kobj_sharing = {
    .name = "sharing",
    .title = "what threads and processes share",
    .saved = "with conditions",
    .conditions = "a thread with descriptors or a working directory of its own is refused, and so "
                  "are processes that share these or their memory",
    .dump = dump_sharing,
};
