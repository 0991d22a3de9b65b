/*
 * memory_policy.c - policies (NUMA) of mappings: mbind(2)
 *
 * numa_maps tells which mappings have one (or may have: it shows the thread's where there is none),
 * the kernel then what it is. That file takes as long as smaps, and is read at the same times; but
 * where that would be most of the time, for a checkpoint of which a session knows all but a little,
 * the kernel is asked of each mapping, if they are few.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "kobj/memory_policy.h"
#include "memory_image.h"
#include "memory_restore.h"

#define FEW_MAPPINGS 128

int memory_policy_list(struct memory_image *image, const char *text, struct crs_error *err)
{
    image->with_policy.n = 0;
    image->policy_unknown = false;
    for (const char *line = text; line && *line;) {
        char policy[16] = "";
        uint64_t start;
        if (sscanf(line, "%lx %15s", &start, policy) == 2 && strcmp(policy, "default") != 0) {
            uint64_t *place = ARRAY_ADD(&image->with_policy);
            if (!place)
                return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mappings");
            *place = start;
        }
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return 0;
}

/* A filter that it has got meanwhile may forbid the call. */
static bool is_under_seccomp(pid_t pid)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    return read_file(AT_FDCWD, path, 65536, &text) < 0 ||
           !strstr((const char *)text.data, "Seccomp:\t0\n");
}

bool memory_policy_is_asked(struct memory_image *image)
{
    if (image->smaps.n > FEW_MAPPINGS || is_under_seccomp(image->pid))
        return false;
    image->policy_unknown = true;
    return true;
}

static bool may_have_policy(const struct memory_image *image, uint64_t start)
{
    if (image->policy_unknown)
        return true;
    size_t low = 0, high = image->with_policy.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (image->with_policy.items[middle] < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low < image->with_policy.n && image->with_policy.items[low] == start;
}

int memory_policy_collect(struct memory_image *image, struct kobj_dump *ctx,
                          const struct memory_vma *vma, struct crs_error *err)
{
    struct memory_policy policy = {0};

    if (vma->record->kind == CRS__VMA_KIND__VMA_VDSO ||
        vma->record->kind == CRS__VMA_KIND__VMA_VVAR || !may_have_policy(image, vma->map.start))
        return 0;
    int r = memory_policy_get(tracee_main(ctx->t), vma->map.start, &policy, err);
    size_t size = memory_policy_size(&policy);
    if (r < 0 || policy.mode == 0)
        return r;
    vma->record->policy = policy.mode;
    vma->record->policy_nodes.data = malloc(size + 1);
    if (!vma->record->policy_nodes.data)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mappings");
    memcpy(vma->record->policy_nodes.data, policy.nodes, size);
    vma->record->policy_nodes.len = size;
    return 0;
}

/* ---- restart ---- */

int memory_policy_restore(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                          struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < space->n_vmas; i++) {
        const Crs__Vma *vma = space->vmas[i];
        struct memory_policy policy;
        char whose[48];
        if (vma->policy == 0)
            continue;
        snprintf(whose, sizeof(whose), "the memory at %#llx", (unsigned long long)vma->start);
        r = memory_policy_load(vma->policy, &vma->policy_nodes, &policy, err);
        if (r == 0)
            r = memory_policy_set(ctx, tracee_main(ctx->t), vma->start, vma->end - vma->start,
                                  &policy, whose, err);
    }
    return r;
}
