/* shadow_stack.c - a stack of return addresses kept by the processor (x86 CET): not saved yet */
#include <string.h>

#include "kobj/attributes.h"

static int dump_shadow_stack(struct kobj_dump *ctx, struct tracee_thread *thread,
                             struct bytes *ret_payload, struct crs_error *err)
{
    _cleanup_proc_status_ struct proc_status status = {0};
    int r = kobj_read_status(thread, &status, err);

    if (r < 0 || !status.shadow_stack)
        return r;
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "thread %d of process %d has a shadow stack, which can't be saved yet; run the "
                    "program with GLIBC_TUNABLES=glibc.cpu.hwcaps=-SHSTK",
                    thread->tid, ctx->t->pid);
}

const struct kobj_thread_kind kobj_shadow_stack = {
    .name = "shadow_stack",
    .title = "shadow stack (CET)",
    .saved = "refused",
    .dump = dump_shadow_stack,
};
