/* memory_seal.c - the last steps of building up an address space */
#include <linux/prctl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "memory_restore.h"

/* Not in older headers. */
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static int seal_memory(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                       struct crs_error *err)
{
    _cleanup_memory_calls_ struct memory_calls calls = {.ctx = ctx};

    for (size_t i = 0; i < space->n_vmas; i++)
        if (vma_has(space->vmas[i], CRS__VMA_FLAG__VMA_FLAG_SEALED))
            memory_calls_add(&calls, "?seal memory", SYS_mseal, space->vmas[i]->start,
                             space->vmas[i]->end - space->vmas[i]->start, 0, 0, 0, 0);
    return memory_calls_run(&calls, err);
}

static int set_mm(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct crs_error *err)
{
    struct tracee *t = ctx->t;
    struct prctl_mm_map map = {
        .start_code = space->start_code,
        .end_code = space->end_code,
        .start_data = space->start_data,
        .end_data = space->end_data,
        .start_brk = space->start_brk,
        .brk = space->brk,
        .start_stack = space->start_stack,
        .arg_start = space->arg_start,
        .arg_end = space->arg_end,
        .env_start = space->env_start,
        .env_end = space->env_end,
        .auxv_size = space->auxv.len,
        .exe_fd = -1,
    };

    if (space->auxv.len > SCRATCH_OURS - sizeof(map) || space->auxv.len % 16)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "the saved auxiliary vector has %zu bytes",
                        space->auxv.len);
    map.auxv = (void *)(t->scratch + sizeof(map));
    int r = tracee_write(t, t->scratch, &map, sizeof(map), err);
    if (r == 0)
        r = tracee_write(t, (uint64_t)map.auxv, space->auxv.data, space->auxv.len, err);
    if (r < 0)
        return r;
    return REMOTE_CHECKED(tracee_main(t), NULL, err, CRS_CANT_RESTART,
                          "can't set the addresses of code, data, heap and arguments (the kernel "
                          "needs CONFIG_CHECKPOINT_RESTORE)",
                          SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, t->scratch, sizeof(map), 0);
}

int memory_seal(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct crs_error *err)
{
    int r = memory_lock(ctx, space, err);

    if (r == 0)
        r = seal_memory(ctx, space, err);
    if (r == 0)
        r = set_mm(ctx, space, err);
    if (r == 0)
        r = REMOTE_CHECKED(tracee_main(ctx->t), NULL, err, CRS_FAILED, "can't unmap the scratch",
                           SYS_munmap, ctx->t->scratch, ctx->t->scratch_size);
    if (r < 0)
        return r;
    ctx->t->scratch = ctx->t->scratch_size = 0;
    return memory_lock_future(ctx, space, err);
}
