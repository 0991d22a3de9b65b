/* ldt.c - segments of a program's own: modify_ldt(2), which old programs and emulators use */
#include <sys/syscall.h>

#include "kobj/attributes.h"

#define READ_ENTRIES 0 /* the first argument of modify_ldt(2) */

static int dump_ldt(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
#ifdef SYS_modify_ldt
    struct tracee_thread *thread = tracee_main(ctx->t);
    int64_t size = 0;
    int r = kobj_need_scratch(thread, err);

    if (r == 0)
        r = REMOTE(thread, &size, err, SYS_modify_ldt, READ_ENTRIES, ctx->t->scratch,
                   TRACEE_SCRATCH_SIZE);
    size =
        (int32_t)size; /* so the kernel gives an error, too; there's none in a kernel without it */
    if (r < 0 || size <= 0)
        return r;
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "process %d has segments of its own (modify_ldt), which can't be saved",
                    ctx->t->pid);
#else
    return 0;
#endif
}

const struct kobj_process_kind kobj_ldt = {
    .name = "ldt",
    .title = "segments of its own (modify_ldt)",
    .saved = "refused",
    .dump = dump_ldt,
};
