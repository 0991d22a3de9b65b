/* memory_collect.c - the tables of an address space: before and in the freeze */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "kobj/questions.h"
#include "memory_image.h"
#include "memory_session.h"
#include "proc/mm.h"

#define MAPS_LIMIT MEMORY_TEXT_LIMIT
#define VDSO_LIMIT (1u << 20)
#define AUXV_LIMIT 65536u

int memory_read_proc(struct memory_image *image, struct kobj_dump *ctx, const char *name,
                     struct bytes *ret, struct crs_error *err)
{
    char path[80];

    snprintf(path, sizeof(path), "task/%d/%s", image->tid, name);
    int r = read_costly_records(ctx->t->proc_fd, path, MAPS_LIMIT, ret);
    if (r < 0)
        return crs_fail(err, CRS_NOT_PERMITTED, -r, "can't read /proc/%d/%s: %s", image->pid, path,
                        strerror(-r));
    return 0;
}

/* ---- before ---- */

static int cant_read(pid_t pid, int r, struct crs_error *err)
{
    if (r == -ESRCH || r == -ENOENT)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "there's no process %d", pid);
    return crs_fail(err, CRS_NOT_PERMITTED, -r, "can't read /proc/%d/smaps: %s", pid, strerror(-r));
}

/* Also which mappings may have a policy, unless that is to be asked in the freeze. */
static int take_texts(struct memory_image *image, const struct bytes *smaps, struct bytes *numa,
                      bool known, struct crs_error *err)
{
    struct memory_beside beside;
    int r = proc_smaps_parse((const char *)smaps->data, smaps->size, &image->smaps, err);

    if (r < 0 || (known && memory_policy_is_asked(image)))
        return r;
    if (!numa->data) {
        memory_beside_begin(&beside, image->pid, "numa_maps");
        memory_beside_end(&beside, numa);
    }
    return numa->data ? memory_policy_list(image, (const char *)numa->data, err)
                      : 0; /* not on every kernel */
}

static int prepare_now(struct memory_image *image, bool known, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0}, numa = {0};
    struct memory_beside beside;
    char path[40];

    if (!known)
        memory_beside_begin(&beside, image->pid, "numa_maps");
    snprintf(path, sizeof(path), "/proc/%d/smaps", image->pid);
    int r = read_costly_records(AT_FDCWD, path, MAPS_LIMIT, &text);
    /* Without a thread: at once, while what the kernel knows of the pages is in this processor's
     * cache. */
    if (!known)
        memory_beside_end(&beside, &numa);
    return r < 0 ? cant_read(image->pid, r, err) : take_texts(image, &text, &numa, known, err);
}

int memory_prepare_image_end(struct memory_image *image, struct crs_error *err)
{
    _cleanup_free_ struct memory_beside *beside = TAKE_PTR(image->beside);
    _cleanup_bytes_ struct bytes text = {0}, numa = {0};
    int r = memory_beside_end(beside, &text);

    return r < 0 ? cant_read(image->pid, r, err) : take_texts(image, &text, &numa, true, err);
}

int memory_prepare_known(struct memory_set *set, struct crs_error *err)
{
    pid_t pid;

    for (size_t i = 0; (pid = memory_session_pid(set->session, i)); i++) {
        if (set->n_known == ELEMENTS(set->known))
            break;
        struct memory_beside *beside = calloc(1, sizeof(*beside));
        if (!beside)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        memory_beside_begin(beside, pid, "smaps");
        set->known[set->n_known].pid = pid;
        set->known[set->n_known++].beside = beside;
    }
    return 0;
}

static void take_known(struct memory_set *set, struct memory_image *image)
{
    for (size_t i = 0; i < set->n_known; i++)
        if (set->known[i].pid == image->pid && !image->beside)
            image->beside = TAKE_PTR(set->known[i].beside);
}

int memory_prepare(struct memory_set *set, pid_t pid, struct crs_error *err)
{
    struct memory_image *image;
    int r = memory_image_get(set, pid, &image, err);

    memory_aside_begin(set, pid);
    if (r < 0)
        return r;
    take_known(set, image);
    return image->beside ? 0 : prepare_now(image, memory_session_has(set->session, pid), err);
}

int memory_prepare_end(struct memory_set *set, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; i < set->images.n; i++) {
        struct memory_image *image = set->images.items[i];
        if (image->beside && !image->borrowed &&
            memory_prepare_image_end(image, r == 0 ? err : NULL) == -ENOMEM)
            r = -ENOMEM;
    }
    return r;
}

/* ---- in the freeze ---- */

static int open_pagemap(struct memory_image *image, struct kobj_dump *ctx, struct crs_error *err)
{
    char path[80];

    snprintf(path, sizeof(path), "task/%d/pagemap", image->tid);
    image->pagemap_fd = openat(ctx->t->proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (image->pagemap_fd < 0)
        return crs_fail_errno(err, CRS_NOT_PERMITTED, "can't open /proc/%d/pagemap", image->pid);
    pagemap_can_scan(image->pagemap_fd, &image->can_scan, &image->guard_bit);
    return 0;
}

static int read_maps(struct memory_image *image, struct kobj_dump *ctx, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    int r = memory_read_proc(image, ctx, "maps", &text, err);

    return r < 0 ? r : proc_maps_parse((const char *)text.data, text.size, &image->maps, err);
}

/* Are the flags of all mappings known from before? */
static bool flags_are_known(const struct memory_image *image)
{
    for (size_t i = 0; i < image->maps.n; i++) {
        const struct proc_smap *smap = proc_smaps_find(&image->smaps, image->maps.items[i].start);
        if (!smap || !proc_map_equal(&smap->map, &image->maps.items[i]))
            return false;
    }
    return true;
}

static int read_smaps(struct memory_image *image, struct kobj_dump *ctx, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};

    /* Reading pagemap entries one by one needs the counts of this very moment. */
    if (image->can_scan && flags_are_known(image))
        return 0;
    image->borrowed = false;
    int r = memory_read_proc(image, ctx, "smaps", &text, err);
    if (r == 0)
        r = proc_smaps_parse((const char *)text.data, text.size, &image->smaps, err);
    if (r == 0 && memory_read_proc(image, ctx, "numa_maps", &text, NULL) == 0)
        r = memory_policy_list(image, (const char *)text.data, err);
    return r;
}

static int list_vmas(struct memory_image *image, struct crs_error *err)
{
    for (size_t i = 0; i < image->maps.n; i++) {
        const struct proc_map *map = &image->maps.items[i];
        const struct proc_smap *smap = proc_smaps_find(&image->smaps, map->start);
        if (!smap)
            return crs_fail(err, CRS_FAILED, EIO, "maps and smaps differ at %#llx",
                            (unsigned long long)map->start);
        struct memory_vma *vma = ARRAY_ADD(&image->vmas);
        if (!vma)
            return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mappings");
        *vma = (struct memory_vma){.map = *map,
                                   .vm_flags = smap->flags,
                                   .protection_key = smap->protection_key,
                                   .limit = smap->resident_pages + smap->swapped_pages};
        if (smap->flags & PROC_VM_UFFD_WP && memory_live_tracks(image->set, map->start, map->end))
            vma->vm_flags &= ~PROC_VM_UFFD_WP; /* ours */
        if (smap->flags & PROC_VM_HUGETLB) {
            vma->huge_page_bytes = smap->page_bytes;
            vma->limit = PAGE_OF(map->end - map->start); /* those fields don't count them */
        }
    }
    return 0;
}

/* What prctl(PR_SET_MM_MAP) takes. */
static int collect_mm(struct memory_image *image, struct kobj_dump *ctx, struct crs_error *err)
{
    struct tracee_thread *th = tracee_main(ctx->t);
    Crs__AddressSpace *space = image->space;
    _cleanup_bytes_ struct bytes auxv = {0};
    struct proc_mm mm;
    int64_t brk;

    int r = th->stat.data ? 0 : memory_read_proc(image, ctx, "stat", &th->stat, err);
    if (r == 0)
        r = memory_read_proc(image, ctx, "auxv", &auxv, err);
    if (r < 0)
        return r;
    if (proc_mm_parse((const char *)th->stat.data, &mm) < 0 || mm.start_code < PAGE ||
        auxv.size > AUXV_LIMIT)
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "the addresses of code and data in /proc/%d/stat are hidden from this user",
                        image->pid);
    r = kobj_ask(th, &kobj_question_brk, &brk, NULL, err);
    if (r < 0)
        return r;
    space->start_code = mm.start_code;
    space->end_code = mm.end_code;
    space->start_data = mm.start_data;
    space->end_data = mm.end_data;
    space->start_brk = mm.start_brk;
    space->brk = brk;
    space->start_stack = mm.start_stack;
    space->arg_start = mm.arg_start;
    space->arg_end = mm.arg_end;
    space->env_start = mm.env_start;
    space->env_end = mm.env_end;
    space->auxv.data = auxv.data;
    space->auxv.len = auxv.size;
    auxv = (struct bytes){0};
    return 0;
}

static int collect_vdso(struct memory_image *image, struct kobj_dump *ctx,
                        const struct memory_vma *vma, struct crs_error *err)
{
    Crs__AddressSpace *space = image->space;
    size_t size = vma->map.end - vma->map.start;

    if (size > VDSO_LIMIT || space->vdso.data)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP, "the vDSO isn't of a known form");
    space->vdso.data = malloc(size);
    if (!space->vdso.data)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the vDSO");
    space->vdso.len = size;
    space->vdso_address = vma->map.start;
    return tracee_read(ctx->t, vma->map.start, space->vdso.data, size, err);
}

/* Has a copy that fork(2) makes the pages as well? */
static bool is_forked(const struct memory_vma *vma)
{
    const uint32_t not_these = PROC_VM_DONTFORK | PROC_VM_WIPEONFORK | PROC_VM_DROPPABLE |
                               PROC_VM_PFNMAP | PROC_VM_IO | PROC_VM_MIXEDMAP | PROC_VM_HUGETLB;

    return !vma->map.shared && !(vma->vm_flags & not_these) && vma->pages != PAGES_ALL;
}

static uint32_t how_to_copy(const struct memory_vma *vma)
{
    return (is_forked(vma) ? 0 : COPY_IN_FREEZE) |
           (vma->map.protection & PROT_READ ? 0 : COPY_FORCED) |
           (vma->pages == PAGES_CHANGED ? COPY_KEEP_ZERO : 0) |
           (vma->pages == PAGES_ALL ? COPY_MAY_FAIL : 0);
}

static int plan_pages(struct memory_image *image, int pagemap_fd, const struct memory_vma *vma,
                      uint32_t sink, struct crs_error *err)
{
    enum page_filter filter = vma->pages == PAGES_CHANGED ? PAGES_CHANGED_FILE : PAGES_ANONYMOUS;
    _cleanup_page_runs_ struct page_runs runs = {0};
    int r = pagemap_scan(pagemap_fd, image->can_scan, image->guard_bit, vma->map.start,
                         vma->map.end, vma->limit, filter, &runs, &image->guards, err);

    return r < 0 ? r : copy_plan_add_set(&image->plan, sink, &runs, how_to_copy(vma), err);
}

static int defer_vma(struct memory_image *image, const struct memory_vma *vma, uint32_t sink,
                     struct crs_error *err)
{
    uint32_t *place = ARRAY_ADD(&image->deferred.vmas);

    if (!place)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mappings");
    *place = vma - image->vmas.items;
    image->deferred.sink = sink;
    return 0;
}

int memory_plan_deferred(struct memory_image *image, int pagemap_fd, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < image->deferred.vmas.n; i++)
        r = plan_pages(image, pagemap_fd, &image->vmas.items[image->deferred.vmas.items[i]],
                       image->deferred.sink, err);
    image->deferred.vmas.n = 0;
    return r;
}

static int plan_vma(struct memory_image *image, const struct memory_vma *vma, uint32_t sink,
                    struct crs_error *err)
{
    int r;

    if (vma->pages == PAGES_NONE || (!image->can_scan && vma->pages != PAGES_ALL && !vma->limit))
        return 0;
    if (vma->pages == PAGES_ALL)
        return copy_plan_add(&image->plan, sink, -1, PAGE_OF(vma->map.start),
                             PAGE_OF(vma->map.end - vma->map.start), vma->map.start,
                             how_to_copy(vma), err);
    if (image->set->fork_first && is_forked(vma))
        return defer_vma(image, vma, sink, err);
    r = memory_live_plan(image, vma, sink, how_to_copy(vma), err);
    return r <= 0 ? r : plan_pages(image, image->pagemap_fd, vma, sink, err);
}

static int collect_vmas(struct memory_image *image, struct kobj_dump *ctx, struct crs_error *err)
{
    uint32_t sink;
    int r =
        copy_plan_sink(&image->plan, &image->space->chunks, &image->space->n_chunks, &sink, err);

    for (size_t i = 0; r == 0 && i < image->vmas.n; i++) {
        struct memory_vma *vma = &image->vmas.items[i];
        r = memory_vma_classify(image, ctx, vma, err);
        if (r == 0 && vma->record && vma->record->kind == CRS__VMA_KIND__VMA_VDSO)
            r = collect_vdso(image, ctx, vma, err);
        if (r == 0 && vma->record)
            r = memory_policy_collect(image, ctx, vma, err);
        if (r == 0 && vma->record)
            r = plan_vma(image, vma, sink, err);
    }
    return r;
}

/* The space takes the records of the mappings. */
static int hand_over_vmas(struct memory_image *image, struct crs_error *err)
{
    Crs__AddressSpace *space = image->space;

    space->vmas = calloc(image->vmas.n, sizeof(*space->vmas));
    if (!space->vmas)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mappings");
    for (size_t i = 0; i < image->vmas.n; i++)
        if (image->vmas.items[i].record)
            space->vmas[space->n_vmas++] = TAKE_PTR(image->vmas.items[i].record);
    return 0;
}

static int collect(struct memory_image *image, struct kobj_dump *ctx, struct crs_error *err)
{
    int r = open_pagemap(image, ctx, err);

    if (r == 0)
        r = read_maps(image, ctx, err);
    if (r == 0)
        r = read_smaps(image, ctx, err);
    if (r == 0)
        r = list_vmas(image, err);
    if (r == 0)
        r = collect_mm(image, ctx, err);
    if (r == 0)
        r = memory_collect_keys(image, err);
    if (r == 0)
        r = memory_collect_locks(image, err);
    if (r == 0)
        r = memory_find_exe(image, ctx, err);
    memory_live_enter(image);
    if (r == 0)
        r = collect_vmas(image, ctx, err);
    if (r == 0)
        r = memory_check_attached(image, ctx, err);
    if (r == 0)
        r = hand_over_vmas(image, err);
    cleanup_close(&image->pagemap_fd);
    image->pagemap_fd = -1;
    image->space->exe = image->exe_file;
    return r;
}

int memory_collect(struct memory_set *set, struct kobj_dump *ctx, uint32_t *ret_id,
                   struct crs_error *err)
{
    struct memory_image *image;
    int r = memory_image_get(set, ctx->t->pid, &image, err);

    if (r < 0)
        return r;
    set->save_files = ctx->save_files;
    image->t = ctx->t;
    image->tid = tracee_main(ctx->t)->tid;
    image->space = malloc(sizeof(*image->space));
    if (!image->space)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for an address space");
    crs__address_space__init(image->space);
    *ret_id = image->space->id = image->space_id = ++set->n_spaces;
    return collect(image, ctx, err);
}
