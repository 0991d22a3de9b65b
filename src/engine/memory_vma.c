/* memory_vma.c - kinds of mappings: what can be saved, and how */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "kobj/ahead.h"
#include "memory_image.h"

/* Reasons to refuse a mapping: by the kernel's flags, by name. */
static const struct {
    uint32_t flags;
    const char *words;
} refused_flags[] = {
    {PROC_VM_SHADOW_STACK, "is a shadow stack, which can't be saved yet; run the program with "
                           "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off"},
    {PROC_VM_UFFD_MISSING | PROC_VM_UFFD_WP | PROC_VM_UFFD_MINOR,
     "is handled by a userfaultfd, whose state can't be saved; unregister it before the "
     "checkpoint"},
    {PROC_VM_PFNMAP | PROC_VM_IO, "is memory of a device, which can't be saved; close the device "
                                  "before the checkpoint"},
};

static const struct {
    const char *prefix, *words;
} refused_names[] = {
    {"/secretmem", "is secret memory, which nobody but the program can read; unmap it before the "
                   "checkpoint"},
    {"anon_inode:", "belongs to an object of the kernel that can't be saved; unmap it before the "
                    "checkpoint"},
    {"[uprobes]", "is there because a tracer has set uprobes; remove them before the checkpoint"},
};

static const struct {
    uint32_t vm, record;
} flag_map[] = {
    {PROC_VM_NORESERVE, CRS__VMA_FLAG__VMA_FLAG_NORESERVE},
    {PROC_VM_GROWSDOWN, CRS__VMA_FLAG__VMA_FLAG_GROWSDOWN},
    {PROC_VM_LOCKED, CRS__VMA_FLAG__VMA_FLAG_LOCKED},
    {PROC_VM_LOCK_ON_FAULT, CRS__VMA_FLAG__VMA_FLAG_LOCK_ON_FAULT},
    {PROC_VM_DONTDUMP, CRS__VMA_FLAG__VMA_FLAG_DONTDUMP},
    {PROC_VM_DONTFORK, CRS__VMA_FLAG__VMA_FLAG_DONTFORK},
    {PROC_VM_WIPEONFORK, CRS__VMA_FLAG__VMA_FLAG_WIPEONFORK},
    {PROC_VM_HUGEPAGE, CRS__VMA_FLAG__VMA_FLAG_HUGEPAGE},
    {PROC_VM_NOHUGEPAGE, CRS__VMA_FLAG__VMA_FLAG_NOHUGEPAGE},
    {PROC_VM_MERGEABLE, CRS__VMA_FLAG__VMA_FLAG_MERGEABLE},
    {PROC_VM_SEQUENTIAL, CRS__VMA_FLAG__VMA_FLAG_SEQUENTIAL},
    {PROC_VM_RANDOM, CRS__VMA_FLAG__VMA_FLAG_RANDOM},
    {PROC_VM_SEALED, CRS__VMA_FLAG__VMA_FLAG_SEALED},
    {PROC_VM_DROPPABLE, CRS__VMA_FLAG__VMA_FLAG_DROPPABLE},
    {PROC_VM_SYNC, CRS__VMA_FLAG__VMA_FLAG_SYNC},
};

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int refuse(const struct proc_map *map, const char *words, struct crs_error *err)
{
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP, "the mapping %#llx-%#llx (%s) %s",
                    (unsigned long long)map->start, (unsigned long long)map->end,
                    map->name[0] ? map->name : "anonymous", words);
}

/* Does the path of the mapping name the file that is mapped? */
static bool named(const struct proc_map *map)
{
    struct stat st;

    return stat(map->name, &st) == 0 && st.st_dev == map->dev && st.st_ino == map->inode;
}

static int check_name(const struct proc_map *map, struct crs_error *err)
{
    for (size_t i = 0; i < ELEMENTS(refused_names); i++)
        if (starts_with(map->name, refused_names[i].prefix) &&
            (map->name[0] != '/' || (proc_map_marked_deleted(map) && !named(map))))
            return refuse(map, refused_names[i].words, err);
    return 0;
}

static int check_flags(const struct proc_map *map, uint32_t flags, struct crs_error *err)
{
    for (size_t i = 0; i < ELEMENTS(refused_flags); i++)
        if (flags & refused_flags[i].flags)
            return refuse(map, refused_flags[i].words, err);
    return 0;
}

static int check_refused(const struct memory_image *image, struct kobj_dump *ctx,
                         const struct memory_vma *vma, struct crs_error *err)
{
    const struct proc_map *map = &vma->map;

    int r = check_name(map, err);
    if (r < 0)
        return r;
    uint32_t flags = vma->vm_flags;
    switch (memory_served(ctx->t->proc_fd, image->tid, vma->vm_flags)) {
    case MEMORY_TRACKED: /* by a tool that copies it, or will again: nothing of the program's */
        flags &= ~(uint32_t)PROC_VM_UFFD_WP;
        break;
    case MEMORY_FILLED:
        return crs_fail(err, CRS_BUSY, EAGAIN, /* its mappings changed while they were read */
                        "the memory of process %d is still being brought from its snapshot (crs "
                        "restart --lazy): try again when it is there",
                        image->pid);
    case MEMORY_NOT_SERVED:
        break;
    }
    return check_flags(map, flags, err);
}

/* The kernel's own mappings ([vvar]), and those that belong to a kind that is saved. */
static bool is_known_kind(const struct proc_map *map)
{
    return strcmp(map->name, "anon_inode:[io_uring]") == 0 ||
           (map->name[0] == '[' && strcmp(map->name, "[uprobes]") != 0);
}

int memory_check_ahead(const struct memory_set *set, struct crs_error *err)
{
    /* who handles faults there isn't looked at */
    const uint32_t not_these = PROC_VM_UFFD_MISSING | PROC_VM_UFFD_WP | PROC_VM_UFFD_MINOR;
    int r = 0;

    for (size_t i = 0; i < set->images.n; i++) {
        const struct memory_image *image = set->images.items[i];
        for (size_t k = 0; r == 0 && k < image->smaps.n; k++) {
            const struct proc_smap *smap = &image->smaps.items[k];
            if (is_known_kind(&smap->map))
                continue;
            r = check_name(&smap->map, err);
            if (r == 0)
                r = check_flags(&smap->map, smap->flags & ~not_these, err);
        }
        if (r == 0)
            r = kobj_check_ahead(image->pid, set->images.items[0]->pid, err);
        if (r < 0)
            return i > 0 ? crs_fail_at(err, r, "process %d", image->pid) : r;
    }
    return 0;
}

void memory_vma_set_flags(Crs__Vma *record, const struct proc_smap *smap)
{
    for (size_t i = 0; i < ELEMENTS(flag_map); i++) {
        record->flags &= ~flag_map[i].record;
        if (smap->flags & flag_map[i].vm)
            record->flags |= flag_map[i].record;
    }
    record->protection_key = smap->protection_key;
}

static uint32_t record_flags(const struct memory_vma *vma, const Crs__AddressSpace *space)
{
    uint32_t flags = 0;

    for (size_t i = 0; i < ELEMENTS(flag_map); i++)
        if (vma->vm_flags & flag_map[i].vm)
            flags |= flag_map[i].record;
    if (strcmp(vma->map.name, "[heap]") == 0)
        flags |= CRS__VMA_FLAG__VMA_FLAG_HEAP;
    if (space->start_stack >= vma->map.start && space->start_stack < vma->map.end)
        flags |= CRS__VMA_FLAG__VMA_FLAG_STACK;
    if (vma->map.shared && (vma->vm_flags & PROC_VM_MAY_WRITE))
        flags |= CRS__VMA_FLAG__VMA_FLAG_MAY_WRITE;
    return flags;
}

/* Mappings without an inode. *ret_skip: nothing to save. */
static int classify_without_file(struct memory_vma *vma, bool *ret_skip, struct crs_error *err)
{
    const char *name = vma->map.name;

    if (strcmp(name, "[vsyscall]") == 0)
        *ret_skip = true; /* at the same place in every process */
    else if (strcmp(name, "[vdso]") == 0)
        vma->record->kind = CRS__VMA_KIND__VMA_VDSO;
    else if (starts_with(name, "[vvar"))
        vma->record->kind = CRS__VMA_KIND__VMA_VVAR;
    else if (vma->map.shared || (name[0] && strcmp(name, "[heap]") != 0 &&
                                 !starts_with(name, "[stack") && !starts_with(name, "[anon:")))
        return refuse(&vma->map, "is of a kind that is not known, and can't be saved", err);
    else if (!(vma->vm_flags & PROC_VM_DROPPABLE)) /* what may vanish at any time isn't saved */
        vma->pages = PAGES_TOUCHED;
    return 0;
}

static int classify_object(struct memory_image *image, struct kobj_dump *ctx,
                           struct memory_vma *vma, struct crs_error *err)
{
    vma->record->kind = CRS__VMA_KIND__VMA_OBJECT;
    if (!vma->map.shared) {
        vma->record->flags |= CRS__VMA_FLAG__VMA_FLAG_PRIVATE;
        vma->pages = PAGES_CHANGED;
    }
    return memory_object_get(image, ctx, vma, &vma->record->object, err);
}

/* The file has no name any more, or never had one. */
static int classify_deleted(struct memory_image *image, struct kobj_dump *ctx,
                            struct memory_vma *vma, struct crs_error *err)
{
    const struct proc_map *map = &vma->map;
    bool held = false;

    if (map->shared)
        return classify_object(image, ctx, vma, err);
    if (image->exe_deleted && map->dev == image->exe_dev && map->inode == image->exe_ino) {
        vma->record->kind = CRS__VMA_KIND__VMA_FILE_PRIVATE;
        vma->record->file = image->exe_file;
        vma->pages = PAGES_CHANGED;
        return 0;
    }
    /* While a descriptor may still change a memfd, its pages stay the memfd's. Those of other
     * processes are known as objects already. */
    if (starts_with(map->name, "/memfd:")) {
        bool known = kobj_object_find(ctx, map->dev, map->inode);
        int r = known ? 0 : memory_has_descriptor(image, ctx, map, &held, err);
        if (r < 0)
            return r;
        if (known || held)
            return classify_object(image, ctx, vma, err);
    }
    vma->pages = PAGES_ALL;
    return 0;
}

/* What the kernel calls a file that a mapping of huge pages without one is made of. */
static bool is_huge_anonymous(const struct memory_vma *vma)
{
    return vma->huge_page_bytes && starts_with(vma->map.name, "/anon_hugepage");
}

static int classify_huge_anonymous(struct memory_image *image, struct kobj_dump *ctx,
                                   struct memory_vma *vma, struct crs_error *err)
{
    if (vma->map.shared)
        return classify_object(image, ctx, vma, err);
    vma->record->offset = 0;
    vma->pages = PAGES_TOUCHED;
    return 0;
}

/* A file that is to be saved with its content: while the program stands still, as it is then. */
static int classify_shared(struct memory_image *image, struct kobj_dump *ctx,
                           struct memory_vma *vma, struct crs_error *err)
{
    struct stat st;
    int r = memory_file_check(&vma->map, &st, err);

    return r < 0 ? r : classify_object(image, ctx, vma, err);
}

static int classify_file(struct memory_image *image, struct kobj_dump *ctx, struct memory_vma *vma,
                         struct crs_error *err)
{
    bool writable = vma->vm_flags & PROC_VM_MAY_WRITE;
    Crs__ObjectKind kind;

    /* The content of a file of huge pages lives no longer than the machine runs. */
    if ((vma->map.shared || vma->huge_page_bytes) && named(&vma->map) &&
        kobj_object_is_named(vma->map.name, writable, &kind))
        return classify_object(image, ctx, vma, err);
    if (vma->map.shared && ctx->save_files & CRS_SAVE_SHARED)
        return classify_shared(image, ctx, vma, err);
    if (vma->map.shared) {
        vma->record->kind = CRS__VMA_KIND__VMA_FILE_SHARED;
    } else {
        vma->record->kind = CRS__VMA_KIND__VMA_FILE_PRIVATE;
        vma->pages = PAGES_CHANGED;
    }
    return memory_file_get(image, vma, &vma->record->file, err);
}

/* Is it a ring that the program shares with the kernel? Its content belongs to the object. */
static int classify_ring(struct kobj_dump *ctx, struct memory_vma *vma, bool *ret_is_ring,
                         struct crs_error *err)
{
    const struct proc_map *map = &vma->map;
    bool aio = starts_with(map->name, "/[aio]") && proc_map_marked_deleted(map) && !named(map);

    *ret_is_ring = aio || strcmp(map->name, "anon_inode:[io_uring]") == 0;
    if (!*ret_is_ring)
        return 0;
    vma->record->kind = CRS__VMA_KIND__VMA_RING;
    if (aio) /* the kind "aio" has seen to it */
        return 0;
    vma->record->ring = kobj_io_uring_of(ctx, map->dev, map->inode);
    if (!vma->record->ring)
        return refuse(map,
                      "is the ring of an io_uring whose descriptor is closed here, so it can't be "
                      "reached; keep it open in the process that maps it, or unmap it",
                      err);
    return 0;
}

static int make_record(struct memory_vma *vma, const Crs__AddressSpace *space,
                       struct crs_error *err)
{
    Crs__Vma *record = malloc(sizeof(*record));

    if (!record)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mappings");
    crs__vma__init(record);
    record->name = strdup(vma->map.name);
    if (!record->name) {
        free(record);
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mappings");
    }
    record->start = vma->map.start;
    record->end = vma->map.end;
    record->protection = vma->map.protection;
    record->offset = vma->map.inode || memory_is_sysv(&vma->map) ? vma->map.offset : 0;
    record->kind = CRS__VMA_KIND__VMA_ANONYMOUS;
    record->huge_page_bytes = vma->huge_page_bytes;
    record->protection_key = vma->protection_key;
    record->flags = record_flags(vma, space);
    vma->record = record;
    return 0;
}

/* The kernel's own mappings, whose flags are those of device memory. */
static bool is_vdso_or_vsyscall(const struct proc_map *map)
{
    return map->inode == 0 && starts_with(map->name, "[v");
}

static int classify(struct memory_image *image, struct kobj_dump *ctx, struct memory_vma *vma,
                    bool *ret_skip, struct crs_error *err)
{
    bool is_ring;

    if (is_vdso_or_vsyscall(&vma->map))
        return classify_without_file(vma, ret_skip, err);
    int r = classify_ring(ctx, vma, &is_ring, err);
    if (r < 0 || is_ring)
        return r;
    r = check_refused(image, ctx, vma, err);
    if (r < 0)
        return r;
    if (memory_is_sysv(&vma->map)) /* whose inode number may be 0 */
        return classify_object(image, ctx, vma, err);
    if (is_huge_anonymous(vma))
        return classify_huge_anonymous(image, ctx, vma, err);
    if (vma->map.inode == 0)
        return classify_without_file(vma, ret_skip, err);
    if (starts_with(vma->map.name, "[anon_shmem:")) /* given a name by prctl(PR_SET_VMA) */
        return classify_object(image, ctx, vma, err);
    if (proc_map_marked_deleted(&vma->map) && !named(&vma->map))
        return classify_deleted(image, ctx, vma, err);
    return classify_file(image, ctx, vma, err);
}

int memory_vma_classify(struct memory_image *image, struct kobj_dump *ctx, struct memory_vma *vma,
                        struct crs_error *err)
{
    bool skip = false;
    int r = make_record(vma, image->space, err);

    if (r < 0)
        return r;
    r = classify(image, ctx, vma, &skip, err);
    if (skip) {
        crs__vma__free_unpacked(vma->record, NULL);
        vma->record = NULL;
    }
    return r;
}
