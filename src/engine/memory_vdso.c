/* memory_vdso.c - the vDSO of a restarted process: moved, or led to this kernel's */
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "memory_restore.h"

#define MAPS_LIMIT (64u << 20)

bool memory_in_vdso(const Crs__AddressSpace *space, uint64_t pc)
{
    return space->vdso.len > 0 && pc >= space->vdso_address &&
           pc - space->vdso_address < space->vdso.len;
}

/* This process's own vDSO, which is every process's here. Not allocated. It doesn't move. */
static int find_own_vdso(struct bytes *ret, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_proc_maps_ struct proc_maps maps = {0};
    int r = read_file(AT_FDCWD, "/proc/self/maps", MAPS_LIMIT, &text);

    *ret = (struct bytes){0};
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't read /proc/self/maps: %s", strerror(-r));
    r = proc_maps_parse((const char *)text.data, text.size, &maps, err);
    for (size_t i = 0; r == 0 && i < maps.n; i++)
        if (strcmp(maps.items[i].name, "[vdso]") == 0)
            *ret = (struct bytes){(uint8_t *)maps.items[i].start,
                                  maps.items[i].end - maps.items[i].start};
    return r;
}

static int own_vdso(struct bytes *ret, struct crs_error *err)
{
    static _Thread_local struct bytes known;
    int r = known.data ? 0 : find_own_vdso(&known, err);

    if (r == 0)
        *ret = known;
    return r;
}

bool memory_vdso_is_same(const Crs__AddressSpace *space)
{
    struct bytes own;

    return own_vdso(&own, NULL) == 0 && own.size == space->vdso.len &&
           (own.size == 0 || memcmp(own.data, space->vdso.data, own.size) == 0);
}

/* The saved image with its functions leading to `current`, which stands at current_at. */
static int redirected(const Crs__AddressSpace *space, const struct bytes *current,
                      uint64_t current_at, struct bytes *ret, struct crs_error *err)
{
    if (bytes_copy(ret, space->vdso.data, space->vdso.len) < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the vDSO");
    int r = arch_vdso_redirect(ret, space->vdso_address, current, current_at, err);
    return r < 0 ? crs_fail_at(err, r, "the saved vDSO can't be led to this kernel's") : 0;
}

int memory_check_vdso(const Crs__AddressSpace *space, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes image = {0};
    struct bytes own;

    if (space->vdso.len == 0 || memory_vdso_is_same(space))
        return 0;
    int r = own_vdso(&own, err);
    if (r < 0)
        return r;
    if (own.size == 0)
        return crs_fail(err, CRS_CANT_RESTART, ENOTSUP,
                        "this kernel gives processes no vDSO (vdso=0), and the program had one");
    return redirected(space, &own, MEMORY_LOW, &image, err);
}

const struct proc_map *memory_vdso_maps(const struct proc_maps *maps, size_t *ret_n)
{
    const struct proc_map *first = NULL;

    *ret_n = 0;
    for (size_t i = 0; i < maps->n; i++) {
        const struct proc_map *map = &maps->items[i];
        if (strncmp(map->name, "[vvar", 5) != 0 && strcmp(map->name, "[vdso]") != 0)
            continue;
        if (!first)
            first = map;
        ++*ret_n;
    }
    return first;
}

int memory_vdso_move(struct kobj_restore *ctx, const struct proc_map *maps, size_t n,
                     uint64_t *address, uint64_t to, struct crs_error *err)
{
    _cleanup_memory_calls_ struct memory_calls calls = {.ctx = ctx};

    if (*address == to)
        return 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t size = maps[i].end - maps[i].start, offset = maps[i].start - maps[0].start;
        memory_calls_add(&calls, "move the vDSO", SYS_mremap, *address + offset, size, size,
                         MREMAP_MAYMOVE | MREMAP_FIXED, to + offset, 0);
    }
    int r = memory_calls_run(&calls, err);
    if (r < 0)
        return r;
    *address = to;
    /* Calls are made with an instruction in the vDSO. */
    return arch_calls_prepare_stub(ctx->t, err);
}

/* The saved image at the saved place, leading to the vDSO that stays at `address`. */
static int make_leading(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                        const struct proc_map *vdso, uint64_t at, struct crs_error *err)
{
    _cleanup_memory_calls_ struct memory_calls calls = {.ctx = ctx};
    uint64_t to = space->vdso_address, size = space->vdso.len;
    _cleanup_bytes_ struct bytes current = {0}, image = {0};

    current.size = vdso->end - vdso->start;
    current.data = malloc(current.size);
    if (!current.data)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the vDSO");
    int r = tracee_read(ctx->t, at, current.data, current.size, err);
    if (r == 0)
        r = redirected(space, &current, at, &image, err);
    if (r < 0)
        return r;
    memory_calls_add(&calls, "map the vDSO", SYS_mmap, to, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    r = memory_calls_run(&calls, err);
    if (r == 0)
        r = tracee_write(ctx->t, to, image.data, image.size, err);
    memory_calls_add(&calls, "protect the vDSO", SYS_mprotect, to, size, PROT_READ | PROT_EXEC, 0,
                     0, 0);
    return r < 0 ? r : memory_calls_run(&calls, err);
}

/* Did the mappings [vvar] to [vdso] have these sizes and distances when they were saved? */
static bool same_layout(const Crs__AddressSpace *space, const struct proc_map *maps, size_t n,
                        uint64_t to)
{
    size_t found = 0;

    for (size_t i = 0; i < space->n_vmas; i++) {
        const Crs__Vma *vma = space->vmas[i];
        if (vma->kind != CRS__VMA_KIND__VMA_VDSO && vma->kind != CRS__VMA_KIND__VMA_VVAR)
            continue;
        if (found == n || vma->start != to + (maps[found].start - maps[0].start) ||
            vma->end - vma->start != maps[found].end - maps[found].start)
            return false;
        found++;
    }
    return found == n;
}

int memory_vdso_place(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                      const struct proc_map *maps, size_t n, uint64_t address,
                      struct crs_error *err)
{
    if (n == 0 || space->vdso.len == 0) /* it stays where nothing of the program is */
        return 0;
    uint64_t vdso_offset = maps[n - 1].start - maps[0].start;
    uint64_t to = space->vdso_address - vdso_offset;

    if (memory_vdso_is_same(space) && same_layout(space, maps, n, to))
        return memory_vdso_move(ctx, maps, n, &address, to, err);
    return make_leading(ctx, space, &maps[n - 1], address + vdso_offset, err);
}
