/* seccomp.c - a seccomp filter: the kernel gives it to nobody but root, and it would judge the
 * remote calls of a checkpoint as the program's own */
#include <string.h>

#include "kobj/attributes.h"

static int dump_seccomp(struct kobj_dump *ctx, struct tracee_thread *thread,
                        struct bytes *ret_payload, struct crs_error *err)
{
    _cleanup_proc_status_ struct proc_status status = {0};
    int r = kobj_read_status(thread, &status, err);

    if (r < 0 || !status.seccomp)
        return r;
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "thread %d of process %d runs under a seccomp %s, which can't be saved; run "
                    "the program without its sandbox",
                    thread->tid, ctx->t->pid, status.seccomp == 1 ? "strict mode" : "filter");
}

const struct kobj_thread_kind kobj_seccomp = {
    .name = "seccomp",
    .title = "seccomp filter",
    .saved = "refused",
    .dump = dump_seccomp,
};
