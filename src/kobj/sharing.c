/*
 * sharing.c - what threads share: all of it, as pthread_create() makes them
 *
 * A thread may part with its table of descriptors or its directory and umask by unshare(2); such a
 * process would come back with one of each, so it is refused.
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

const struct kobj_process_kind kobj_sharing = {
    .name = "sharing",
    .title = "what threads share",
    .saved = "with conditions",
    .conditions = "a thread with descriptors or a working directory of its own is refused",
    .dump = dump_sharing,
};
