/* memory_rebuild.c - the order of events of building up an address space */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "engine/lazy.h"
#include "memory_restore.h"

#define MAPS_LIMIT (64u << 20)
#define VDSO_ROOM  (1u << 20) /* for [vvar] to [vdso], beside the scratch */

static int read_maps(struct kobj_restore *ctx, struct proc_maps *ret, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    int r = read_file(ctx->t->proc_fd, "maps", MAPS_LIMIT, &text);

    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't read the mappings of the new process: %s",
                        strerror(-r));
    return proc_maps_parse((const char *)text.data, text.size, ret, err);
}

/* A place that is free now, and in the saved address space too. */
static int choose_work(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                       const struct proc_maps *maps, struct crs_error *err)
{
    size_t n = 0, room = maps->n + space->n_vmas;
    _cleanup_free_ struct address_range *ranges = calloc(room + 1, sizeof(*ranges));
    struct memory_files *f = ctx->memory_files;

    if (!ranges)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mappings");
    for (size_t i = 0; i < maps->n; i++)
        ranges[n++] = (struct address_range){maps->items[i].start, maps->items[i].end};
    for (size_t i = 0; i < space->n_vmas; i++)
        ranges[n++] = (struct address_range){space->vmas[i]->start, space->vmas[i]->end};
    f->work_size = SCRATCH_SIZE + VDSO_ROOM;
    f->work = memory_find_gap(ranges, n, f->work_size);
    if (!f->work)
        return crs_fail(err, CRS_CANT_RESTART, ENOMEM,
                        "the saved address space leaves no room of %llu KiB to work in",
                        (unsigned long long)f->work_size >> 10);
    return 0;
}

static int make_scratch(struct kobj_restore *ctx, struct crs_error *err)
{
    uint64_t at = ctx->memory_files->work;
    int r = REMOTE_CHECKED(tracee_main(ctx->t), NULL, err, CRS_CANT_RESTART, "can't map memory",
                           SYS_mmap, at, SCRATCH_SIZE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (r < 0)
        return r;
    ctx->t->scratch = at;
    ctx->t->scratch_size = SCRATCH_SIZE;
    return arch_calls_prepare_stub(ctx->t, err);
}

static void add_unmap(struct memory_calls *calls, uint64_t start, uint64_t end)
{
    if (start < end)
        memory_calls_add(calls, "unmap what the new process was started with", SYS_munmap, start,
                         end - start, 0, 0, 0, 0);
}

/* Leave nothing but the scratch and the vDSO, both in the work area. */
static int clear_out(struct kobj_restore *ctx, const struct proc_map *vdso, size_t n_vdso,
                     uint64_t *vdso_at, struct crs_error *err)
{
    uint64_t work = ctx->memory_files->work, room = work + SCRATCH_SIZE;
    uint64_t vdso_size = n_vdso ? vdso[n_vdso - 1].end - vdso[0].start : 0;

    if (vdso_size > VDSO_ROOM)
        return crs_fail(err, CRS_CANT_RESTART, ENOTSUP, "this kernel's vDSO isn't of a known form");
    if (n_vdso == 0)
        return crs_fail(err, CRS_CANT_RESTART, ENOTSUP,
                        "this kernel gives processes no vDSO (vdso=0)");
    _cleanup_memory_calls_ struct memory_calls calls = {.ctx = ctx};
    int r = memory_vdso_move(ctx, vdso, n_vdso, vdso_at, room, err);
    if (r < 0)
        return r;
    /* The instruction that calls are made with is in the vDSO, which stays. */
    add_unmap(&calls, PAGE, work);
    add_unmap(&calls, room + vdso_size, MEMORY_TOP);
    return memory_calls_run(&calls, err);
}

/* The pages, or that they will come. */
static int fill(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct crs_error *err)
{
    _cleanup_lazy_part_ struct lazy_part part = {.uffd = -1};
    int r = lazy_arm(ctx, space, &part, err);

    if (r == 0)
        r = memory_fill(ctx, space, part.later, err);
    if (r == 0)
        r = lazy_fill_rest(ctx, space, &part, err);
    if (r == 0)
        r = memory_protect(ctx, space, err);
    if (r == 0)
        r = memory_set_keys(ctx, space, err);
    return r;
}

static int rebuild(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct crs_error *err)
{
    _cleanup_proc_maps_ struct proc_maps maps = {0};
    size_t n_vdso = 0;
    int r = memory_mark_pages(space, ctx->memory_files->has_pages, err);

    if (r == 0)
        r = read_maps(ctx, &maps, err);
    if (r == 0)
        r = choose_work(ctx, space, &maps, err);
    if (r == 0)
        r = make_scratch(ctx, err);
    if (r < 0)
        return r;
    const struct proc_map *vdso = memory_vdso_maps(&maps, &n_vdso);
    uint64_t vdso_at = vdso ? vdso->start : 0;
    r = clear_out(ctx, vdso, n_vdso, &vdso_at, err);
    if (r == 0)
        r = memory_vdso_place(ctx, space, vdso, n_vdso, vdso_at, err);
    if (r == 0)
        r = memory_take_keys(ctx, space, err);
    if (r == 0)
        r = memory_map(ctx, space, err);
    if (r == 0)
        r = memory_policy_restore(ctx, space, err);
    return r < 0 ? r : fill(ctx, space, err);
}

int memory_rebuild(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct crs_error *err)
{
    _cleanup_free_ bool *has_pages = calloc(space->n_vmas + 1, sizeof(*has_pages));

    if (!ctx->memory_files)
        return crs_fail(err, CRS_FAILED, EINVAL, "the files to map aren't open");
    if (!has_pages)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mappings");
    ctx->memory_files->has_pages = has_pages;
    int r = rebuild(ctx, space, err);
    ctx->memory_files->has_pages = NULL;
    return r;
}

int memory_join(struct kobj_restore *ctx, const struct tracee *with, struct crs_error *err)
{
    ctx->t->scratch = with->scratch;
    ctx->t->scratch_size = with->scratch_size;
    return arch_calls_prepare_stub(ctx->t, err);
}
