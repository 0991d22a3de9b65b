/*
 * memory_keys.c - memory protection keys
 *
 * Which rights a thread has by a key is in its vector state (PKRU); which key a mapping has, in
 * smaps; which keys are taken, nowhere. pkey_mprotect(2) of what isn't mapped tells, without
 * changing anything: EINVAL for a key that is free, ENOMEM for one that is taken.
 *
 * For memory that may be executed and nothing else the kernel takes a key by itself, the lowest
 * that is free when such memory is first mapped. It counts as free for the program.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "memory_image.h"
#include "memory_restore.h"

#define KEYS 16 /* at most, of any processor; 0 is everybody's */

/* ---- checkpoint ---- */

/* A page that isn't mapped; 0: none is found. */
static uint64_t find_hole(const struct memory_image *image)
{
    for (size_t i = 0; i < image->maps.n; i++) {
        uint64_t before = i > 0 ? image->maps.items[i - 1].end : PAGE;
        if (image->maps.items[i].start - before >= PAGE && image->maps.items[i].start > before)
            return before;
    }
    return 0;
}

/* Are keys [first, first + n) taken? */
static int ask(struct memory_image *image, uint64_t hole, uint32_t first, size_t n, bool *taken,
               struct crs_error *err)
{
    struct remote_call calls[KEYS] = {0};

    for (size_t i = 0; i < n; i++)
        calls[i] = (struct remote_call){.number = SYS_pkey_mprotect,
                                        .args = {hole, PAGE, PROT_NONE, first + i}};
    int r = tracee_calls(tracee_main(image->t), calls, n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        taken[first + i] = calls[i].result == -ENOMEM;
    return r;
}

static bool has_keyed_memory(const struct memory_image *image)
{
    for (size_t i = 0; i < image->vmas.n; i++)
        if (image->vmas.items[i].protection_key)
            return true;
    return false;
}

/* Has a thread rights that it was not born with? To take a key usually gives some. */
static int has_rights(struct memory_image *image, bool *ret, struct crs_error *err)
{
    *ret = false;
    tracee_for_each_thread (image->t, th) {
        int r = th->xstate.data ? 0 : arch_get_xstate(th->tid, &th->xstate, err);
        if (r < 0)
            return r;
        *ret |= arch_has_key_rights(&th->xstate);
    }
    return 0;
}

static int set_record(Crs__AddressSpace *space, const bool *taken, struct crs_error *err)
{
    space->protection_keys = calloc(KEYS, sizeof(*space->protection_keys));
    if (!space->protection_keys)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of protection keys");
    for (uint32_t i = 1; i < KEYS; i++)
        if (taken[i])
            space->protection_keys[space->n_protection_keys++] = i;
    return 0;
}

/* A program without them costs one call: the lowest key is taken first. */
int memory_collect_keys(struct memory_image *image, struct crs_error *err)
{
    uint64_t hole = find_hole(image);
    bool taken[KEYS] = {false}, rights = false;
    bool keyed = has_keyed_memory(image);
    int r = has_rights(image, &rights, err);

    if (r < 0)
        return r;
    if (!hole)
        return keyed || rights
                   ? crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                              "process %d uses memory protection keys, and has no page left that "
                              "isn't mapped, by which they could be found out",
                              image->pid)
                   : 0;
    r = ask(image, hole, 1, 1, taken, err);
    if (r == 0 && (keyed || rights || taken[1]))
        r = ask(image, hole, 2, KEYS - 2, taken, err);
    return r == 0 ? set_record(image->space, taken, err) : r;
}

/* ---- restart ---- */

static bool is_taken(const Crs__AddressSpace *space, uint32_t key)
{
    for (size_t i = 0; i < space->n_protection_keys; i++)
        if (space->protection_keys[i] == key)
            return true;
    return false;
}

/* The kernel's own for memory that may only be executed; 0: it had none. */
static uint32_t kernels_key(const Crs__AddressSpace *space)
{
    for (size_t i = 0; i < space->n_vmas; i++)
        if (space->vmas[i]->protection_key && !is_taken(space, space->vmas[i]->protection_key))
            return space->vmas[i]->protection_key;
    return 0;
}

static uint32_t highest_key(const Crs__AddressSpace *space)
{
    uint32_t highest = kernels_key(space);

    for (size_t i = 0; i < space->n_protection_keys; i++)
        if (space->protection_keys[i] > highest)
            highest = space->protection_keys[i];
    return highest;
}

static int check_space(const Crs__AddressSpace *space, struct crs_error *err)
{
    for (size_t i = 0; i < space->n_protection_keys; i++)
        if (space->protection_keys[i] < 1 || space->protection_keys[i] >= KEYS)
            return crs_fail(err, CRS_DAMAGED, EBADMSG, "the snapshot has a protection key %u",
                            space->protection_keys[i]);
    for (size_t i = 0; i < space->n_vmas; i++)
        if (space->vmas[i]->protection_key >= KEYS)
            return crs_fail(err, CRS_DAMAGED, EBADMSG, "memory with a protection key %u",
                            space->vmas[i]->protection_key);
    return 0;
}

int memory_check_keys(const Crs__AddressSpace *space, struct crs_error *err)
{
    int r = check_space(space, err);

    if (r < 0 || space->n_protection_keys == 0)
        return r;
    int key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
    if (key >= 0)
        pkey_free(key);
    else if (errno == ENOSYS || errno == EINVAL || errno == ENOSPC)
        return crs_fail(err, CRS_CANT_RESTART, errno,
                        "the program uses memory protection keys, which this machine's processor "
                        "or kernel doesn't have");
    return 0;
}

/* Before anything is mapped: the kernel gets its own key then, the only one that is free so far. */
int memory_take_keys(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                     struct crs_error *err)
{
    uint32_t highest = highest_key(space), own = kernels_key(space);
    struct tracee_thread *th = tracee_main(ctx->t);
    int64_t result;
    int r = 0;

    if (space->n_protection_keys == 0)
        return 0;
    for (uint32_t key = 1; r == 0 && key <= highest; key++) {
        r = REMOTE_CHECKED(th, &result, err, CRS_CANT_RESTART, "take a memory protection key",
                           SYS_pkey_alloc, 0, PKEY_DISABLE_ACCESS);
        if (r == 0 && result != key)
            return crs_fail(err, CRS_CANT_RESTART, ENOTSUP,
                            "the memory protection key %u can't be had: the kernel gives %lld", key,
                            (long long)result);
    }
    if (r == 0 && own)
        r = REMOTE_CHECKED(th, NULL, err, CRS_CANT_RESTART, "give back a memory protection key",
                           SYS_pkey_free, own);
    return r;
}

/* When all is mapped and filled: keys of mappings, and those that only kept a place are given back.
 */
int memory_set_keys(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct crs_error *err)
{
    _cleanup_memory_calls_ struct memory_calls calls = {.ctx = ctx};
    uint32_t highest = highest_key(space), own = kernels_key(space);

    if (space->n_protection_keys == 0)
        return 0;
    for (size_t i = 0; i < space->n_vmas; i++) {
        const Crs__Vma *vma = space->vmas[i];
        if (is_taken(space, vma->protection_key))
            memory_calls_add(&calls, "give memory its protection key", SYS_pkey_mprotect,
                             vma->start, vma->end - vma->start, vma->protection,
                             vma->protection_key, 0, 0);
    }
    for (uint32_t key = 1; key <= highest; key++)
        if (key != own && !is_taken(space, key))
            memory_calls_add(&calls, "give back a memory protection key", SYS_pkey_free, key, 0, 0,
                             0, 0, 0);
    return memory_calls_run(&calls, err);
}
