/*
 * memory_lock.c - memory that is locked, and that will be when it is mapped (mlockall MCL_FUTURE)
 *
 * The latter can't be asked for. But mmap(2) refuses more memory than may be locked before it
 * refuses a type of mapping that there isn't, and maps nothing either way. Who may lock any amount
 * gets the second answer always: there MCL_FUTURE is taken for granted where all memory is locked,
 * since more of it than before does no harm.
 */
#include <linux/capability.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "memory_image.h"
#include "memory_restore.h"

/* Not in older headers. */
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

#define LIMIT_MAX (1ull << 46) /* a length that can be asked for */

/* ---- checkpoint ---- */

static bool can_be_locked(const struct memory_vma *vma)
{
    return !(vma->vm_flags & (PROC_VM_PFNMAP | PROC_VM_IO | PROC_VM_HUGETLB | PROC_VM_DROPPABLE)) &&
           strncmp(vma->map.name, "[v", 2) != 0;
}

struct locked {
    size_t n, n_on_fault, n_not;
};

static struct locked count_locked(const struct memory_image *image)
{
    struct locked locked = {0};

    for (size_t i = 0; i < image->vmas.n; i++) {
        const struct memory_vma *vma = &image->vmas.items[i];
        bool is = vma->vm_flags & PROC_VM_LOCKED;
        locked.n += is;
        locked.n_on_fault += is && vma->vm_flags & PROC_VM_LOCK_ON_FAULT;
        locked.n_not += !is && can_be_locked(vma);
    }
    return locked;
}

/* *ret: as mmap(2) answers; -EINVAL: not, or not to be told. */
static int ask(struct memory_image *image, int64_t *ret, struct crs_error *err)
{
    struct rlimit limit;

    *ret = -EINVAL;
    if (prlimit(image->pid, RLIMIT_MEMLOCK, NULL, &limit) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't read the limits of process %d", image->pid);
    if (limit.rlim_cur > LIMIT_MAX)
        return 0;
    return REMOTE(tracee_main(image->t), ret, err, SYS_mmap, 0,
                  (limit.rlim_cur + 2 * PAGE) & ~(PAGE - 1), PROT_NONE, MAP_ANONYMOUS, -1, 0);
}

/* Programs that lock nothing cost nothing. */
int memory_collect_locks(struct memory_image *image, struct crs_error *err)
{
    struct locked locked = count_locked(image);
    int64_t answer;

    if (locked.n == 0)
        return 0;
    int r = ask(image, &answer, err);
    if (r == 0 && (answer == -EAGAIN || locked.n_not == 0))
        image->space->lock_future = MCL_FUTURE | (locked.n_on_fault == locked.n ? MCL_ONFAULT : 0);
    return r;
}

/* ---- restart ---- */

static void add_lock(struct memory_calls *calls, const Crs__Vma *vma)
{
    uint64_t size = vma->end - vma->start;

    if (vma_has(vma, CRS__VMA_FLAG__VMA_FLAG_LOCK_ON_FAULT))
        memory_calls_add(calls, "?lock memory", SYS_mlock2, vma->start, size, MLOCK_ONFAULT, 0, 0,
                         0);
    else if (vma_has(vma, CRS__VMA_FLAG__VMA_FLAG_LOCKED))
        memory_calls_add(calls, "?lock memory", SYS_mlock, vma->start, size, 0, 0, 0, 0);
}

/* An untouchable mapping is locked although mlock(2) then fails, as it did at first. */
int memory_lock(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct crs_error *err)
{
    _cleanup_memory_calls_ struct memory_calls calls = {.ctx = ctx};

    for (size_t i = 0; i < space->n_vmas; i++)
        add_lock(&calls, space->vmas[i]);
    return memory_calls_run(&calls, err);
}

/* When nothing of ours will be mapped any more. */
int memory_lock_future(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                       struct crs_error *err)
{
    int64_t result;

    if (!(space->lock_future & MCL_FUTURE))
        return 0;
    int r = REMOTE(tracee_main(ctx->t), &result, err, SYS_mlockall,
                   space->lock_future & (MCL_FUTURE | MCL_ONFAULT));
    if (r == 0 && result < 0)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "memory that is mapped from now on isn't locked as it was (mlockall): %s",
                  strerror(-result));
    return r;
}
