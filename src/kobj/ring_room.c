/* ring_room.c - make the kernel choose an address */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "kobj/attributes.h"
#include "kobj/ring_room.h"
#include "proc/maps.h"

#define LOWEST  0x10000ull /* vm.mmap_min_addr */
#define HIGHEST 0x7ffffffff000ull

static bool has_rings(const Crs__AddressSpace *space)
{
    for (size_t i = 0; i < space->n_vmas; i++)
        if (space->vmas[i]->kind == CRS__VMA_KIND__VMA_RING && space->vmas[i]->ring)
            return true;
    return false;
}

bool ring_room_is_below(const Crs__Memory *memory)
{
    struct utsname name;
    unsigned major, minor;

    if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2 || major > 6 ||
        (major == 6 && minor >= 8))
        return false;
    for (size_t i = 0; i < memory->n_spaces; i++)
        if (has_rings(memory->spaces[i]))
            return true;
    return false;
}

struct calls {
    ARRAY_OF(struct remote_call) array;
};

static void calls_clear(struct calls *calls)
{
    free(calls->array.items);
}

static int add_call(struct calls *calls, struct remote_call call, struct crs_error *err)
{
    struct remote_call *new = ARRAY_ADD(&calls->array);

    if (!new)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    *new = call;
    return 0;
}

static int run(struct tracee_thread *th, struct calls *calls, struct crs_error *err)
{
    int r = calls->array.n ? tracee_calls(th, calls->array.items, calls->array.n, err) : 0;

    for (size_t i = 0; r == 0 && i < calls->array.n; i++) {
        const struct remote_call *c = &calls->array.items[i];
        if (c->result < 0 && c->result >= -4095)
            r = crs_fail(err, CRS_CANT_RESTART, -c->result,
                         "can't take the free addresses around an io_uring (%#llx, %llu KiB): %s",
                         (unsigned long long)c->args[0], (unsigned long long)c->args[1] >> 10,
                         strerror(-c->result));
    }
    return r;
}

/* The limit of the address space counts what is only reserved; the saved one is set later. */
static int lift_limit(struct tracee_thread *th, struct crs_error *err)
{
    struct rlimit limit = {0};
    int64_t result;
    int r = tracee_call_with_block(th, &result, err, SYS_prlimit64,
                                   (const uint64_t[6]){0, RLIMIT_AS, 0, 0}, 3, NULL, &limit,
                                   sizeof(limit));

    if (r < 0 || result < 0 || limit.rlim_cur == RLIM_INFINITY)
        return r;
    if (limit.rlim_max != RLIM_INFINITY)
        return crs_fail(err, CRS_CANT_RESTART, ENOMEM,
                        "an io_uring can't be mapped where it was while the address space is "
                        "limited; raise the limit (ulimit -Hv unlimited)");
    limit.rlim_cur = RLIM_INFINITY;
    return tracee_call_with_block(th, &result, err, SYS_prlimit64,
                                  (const uint64_t[6]){0, RLIMIT_AS, 0, 0}, 2, &limit, NULL,
                                  sizeof(limit));
}

static int add_range(struct ring_room *room, uint64_t start, uint64_t end, struct crs_error *err)
{
    struct ring_range *range;

    if (start >= end)
        return 0;
    range = ARRAY_ADD(&room->ranges);
    if (!range)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    *range = (struct ring_range){start, end};
    return 0;
}

static int find_free(struct tracee *t, struct ring_room *room, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_proc_maps_ struct proc_maps maps = {0};
    uint64_t at = LOWEST;
    int r = kobj_read_proc(t, &text, err, "maps");

    if (r == 0)
        r = proc_maps_parse((const char *)text.data, text.size, &maps, err);
    for (size_t i = 0; r == 0 && i < maps.n && maps.items[i].start < HIGHEST; i++) {
        r = add_range(room, at, maps.items[i].start, err);
        at = maps.items[i].end;
    }
    return r < 0 ? r : add_range(room, at, HIGHEST, err);
}

int ring_room_take(struct tracee_thread *th, struct ring_room *ret, struct crs_error *err)
{
    _cleanup_(calls_clear) struct calls calls = {0};
    int r = lift_limit(th, err);

    if (r == 0)
        r = find_free(th->owner, ret, err);
    for (size_t i = 0; r == 0 && i < ret->ranges.n; i++) {
        const struct ring_range *range = &ret->ranges.items[i];
        r = add_call(&calls,
                     (struct remote_call){
                         SYS_mmap,
                         {range->start, range->end - range->start, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0},
                         0},
                     err);
    }
    return r < 0 ? r : run(th, &calls, err);
}

int ring_room_open(struct tracee_thread *th, const Crs__Vma *vma, struct crs_error *err)
{
    return REMOTE_CHECKED(th, NULL, err, CRS_CANT_RESTART, "make room for an io_uring", SYS_munmap,
                          vma->start, vma->end - vma->start);
}

static int add_unmap(struct calls *calls, uint64_t start, uint64_t end, struct crs_error *err)
{
    if (start >= end)
        return 0;
    return add_call(calls, (struct remote_call){SYS_munmap, {start, end - start}, 0}, err);
}

int ring_room_give_back(struct tracee_thread *th, const struct ring_room *room,
                        const Crs__Vma *const *opened, size_t n, struct crs_error *err)
{
    _cleanup_(calls_clear) struct calls calls = {0};
    int r = 0;

    for (size_t i = 0, k = 0; r == 0 && i < room->ranges.n; i++) {
        const struct ring_range *range = &room->ranges.items[i];
        uint64_t at = range->start;
        for (; r == 0 && k < n && opened[k]->start < range->end; k++) {
            r = add_unmap(&calls, at, opened[k]->start, err);
            at = opened[k]->end;
        }
        if (r == 0)
            r = add_unmap(&calls, at, range->end, err);
    }
    return r < 0 ? r : run(th, &calls, err);
}

void ring_room_clear(struct ring_room *room)
{
    free(room->ranges.items);
    *room = (struct ring_room){0};
}
