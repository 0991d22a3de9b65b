/* memory_objects.c - shared memory without a file's name, found by its mappings */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>

#include "base/io.h"
#include "memory_image.h"

static int list_descriptors(struct memory_image *image, struct kobj_dump *ctx,
                            struct crs_error *err)
{
    char path[40];

    snprintf(path, sizeof(path), "task/%d/fd", image->tid);
    int fd = openat(ctx->t->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct stat st;

    image->descriptors_listed = true;
    if (!dir)
        return crs_fail_errno(err, CRS_NOT_PERMITTED, "can't list the open descriptors");
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.' || fstatat(fd, e->d_name, &st, 0) < 0)
            continue;
        struct memory_descriptor *d = ARRAY_ADD(&image->descriptors);
        if (!d)
            return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of descriptors");
        *d = (struct memory_descriptor){st.st_dev, st.st_ino, atoi(e->d_name)};
    }
    return 0;
}

static int find_descriptor(struct memory_image *image, struct kobj_dump *ctx,
                           const struct proc_map *map, int *ret_fd, struct crs_error *err)
{
    int r = image->descriptors_listed ? 0 : list_descriptors(image, ctx, err);

    *ret_fd = -1;
    for (size_t i = 0; r == 0 && i < image->descriptors.n; i++) {
        struct memory_descriptor *d = &image->descriptors.items[i];
        if (d->dev == map->dev && d->ino == map->inode)
            *ret_fd = d->fd;
    }
    return r;
}

int memory_has_descriptor(struct memory_image *image, struct kobj_dump *ctx,
                          const struct proc_map *map, bool *ret, struct crs_error *err)
{
    int fd;
    int r = find_descriptor(image, ctx, map, &fd, err);

    if (r == 0)
        *ret = fd >= 0;
    return r;
}

/*
 * An open file description of our own of what is mapped; -1 where there's no way to get one. (Not
 * a duplicate of the program's: looking for holes moves the position.)
 */
static int open_object(struct memory_image *image, struct kobj_dump *ctx,
                       const struct proc_map *map, int *ret_fd, struct crs_error *err)
{
    char path[80];
    int fd;
    int r = find_descriptor(image, ctx, map, &fd, err);

    if (r < 0)
        return r;
    if (fd >= 0)
        snprintf(path, sizeof(path), "task/%d/fd/%d", image->tid, fd);
    else /* needs a privilege that we may not have */
        snprintf(path, sizeof(path), "map_files/%llx-%llx", (unsigned long long)map->start,
                 (unsigned long long)map->end);
    *ret_fd = openat(ctx->t->proc_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return 0;
}

static int set_name(Crs__MemoryObject *record, const char *name, size_t size)
{
    char *copy = strndup(name, size);

    if (!copy)
        return -ENOMEM;
    record->name = copy;
    return 0;
}

static int set_kind(Crs__MemoryObject *record, const struct proc_map *map)
{
    static const char memfd[] = "/memfd:", zero[] = "/dev/zero", named[] = "[anon_shmem:";
    size_t size = map->end_of_path - map->name;

    if (strncmp(map->name, memfd, strlen(memfd)) == 0) {
        record->kind = CRS__OBJECT_KIND__OBJECT_MEMFD;
        return set_name(record, map->name + strlen(memfd), size - strlen(memfd));
    }
    if ((size == strlen(zero) && strncmp(map->name, zero, size) == 0) ||
        strncmp(map->name, named, strlen(named)) == 0)
        record->kind = CRS__OBJECT_KIND__OBJECT_SHARED_ANONYMOUS;
    else
        record->kind = CRS__OBJECT_KIND__OBJECT_DELETED_FILE;
    return set_name(record, map->name, size);
}

static int fill_record(struct memory_object *object, const struct proc_map *map,
                       struct crs_error *err)
{
    Crs__MemoryObject *record = object->record;
    struct stat st;

    record->content = malloc(sizeof(*record->content));
    if (!record->content)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a shared memory object");
    crs__content__init(record->content);
    if (set_kind(record, map) < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a shared memory object");
    record->mode = record->kind == CRS__OBJECT_KIND__OBJECT_MEMFD ? 0777 : 0600;
    if (object->fd < 0)
        return 0;
    if (fstat(object->fd, &st) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't look at %s", map->name);
    record->size = st.st_size;
    record->mode = st.st_mode & 07777;
    int seals = fcntl(object->fd, F_GET_SEALS);
    record->seals = seals > 0 ? seals : 0;
    return 0;
}

int memory_object_get(struct memory_image *image, struct kobj_dump *ctx,
                      const struct memory_vma *vma, uint32_t *ret_id, struct crs_error *err)
{
    bool is_new = false;
    struct kobj_object *shared = kobj_object_get(ctx, vma->map.dev, vma->map.inode, &is_new);

    if (!shared)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a shared memory object");
    *ret_id = shared->record->id;
    if (!is_new)
        return 0;
    struct memory_object *object = ARRAY_ADD(&image->objects);
    if (!object)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a shared memory object");
    *object = (struct memory_object){vma->map.dev, vma->map.inode, shared->record, -1};
    int r = open_object(image, ctx, &vma->map, &object->fd, err);
    return r < 0 ? r : fill_record(object, &vma->map, err);
}

/* ---- contents ---- */

static int plan_from_fd(struct memory_image *image, struct memory_object *object, uint32_t sink,
                        struct crs_error *err)
{
    off_t size = object->record->size;

    for (off_t at = 0, end; at < size; at = end) {
        at = lseek(object->fd, at, SEEK_DATA);
        if (at < 0 && errno == ENXIO)
            return 0; /* only a hole is left */
        end = at < 0 ? -1 : lseek(object->fd, at, SEEK_HOLE);
        if (end < 0)
            return crs_fail_errno(err, CRS_FAILED, "can't find the data of %s",
                                  object->record->name);
        uint64_t first = PAGE_OF(at), count = PAGE_OF(end + PAGE - 1) - first;
        int r = copy_plan_add(&image->plan, sink, object->fd, first, count, first * PAGE, 0, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Is anything swapped out? Then mincore(2) doesn't tell all. */
static bool swap_in_use(void)
{
    struct sysinfo info;

    return sysinfo(&info) < 0 || info.totalswap != info.freeswap;
}

/* Find the pages of [start, end) of a shared mapping that the object has: by asking the process
 * itself, since pages that it never touched aren't in its page table. */
static int plan_resident(struct memory_image *image, struct kobj_dump *ctx, uint32_t sink,
                         const struct memory_vma *vma, uint64_t start, uint64_t end, uint32_t how,
                         struct crs_error *err)
{
    struct tracee_thread *th = tracee_main(ctx->t);
    uint8_t resident[TRACEE_SCRATCH_SIZE];
    int64_t result;

    for (uint64_t at = start; at < end;) {
        size_t n = PAGE_OF(end - at) < sizeof(resident) ? PAGE_OF(end - at) : sizeof(resident);
        int r = tracee_call_with_block(th, &result, err, SYS_mincore,
                                       (const uint64_t[6]){at, n * PAGE}, 2, NULL, resident, n);
        if (r < 0)
            return r;
        if (result < 0) /* not known: all */
            memset(resident, 1, n);
        for (size_t i = 0; i < n; i++) {
            uint64_t source = at + i * PAGE;
            if (!(resident[i] & 1))
                continue;
            r = copy_plan_add(&image->plan, sink, -1,
                              PAGE_OF(source - vma->map.start + vma->map.offset), 1, source, how,
                              err);
            if (r < 0)
                return r;
        }
        at += n * PAGE;
    }
    return 0;
}

/* Pages of the object that this mapping shows and those before it didn't. Mappings come in the
 * order of their offsets. */
static int plan_mapping(struct memory_image *image, struct kobj_dump *ctx, uint32_t sink,
                        const struct memory_vma *vma, uint64_t *next_page, struct crs_error *err)
{
    uint64_t first = PAGE_OF(vma->map.offset), end = first + PAGE_OF(vma->map.end - vma->map.start);
    uint32_t how = COPY_MAY_FAIL | (vma->map.protection & PROT_READ ? 0 : COPY_FORCED);

    if (first < *next_page)
        first = *next_page;
    if (first >= end)
        return 0;
    *next_page = end;
    uint64_t start = vma->map.start + first * PAGE - vma->map.offset;
    if (!swap_in_use())
        return plan_resident(image, ctx, sink, vma, start, vma->map.end, how, err);
    return copy_plan_add(&image->plan, sink, -1, first, end - first, start, how, err);
}

static int compare_offsets(const void *a, const void *b)
{
    const struct memory_vma *x = *(const struct memory_vma *const *)a;
    const struct memory_vma *y = *(const struct memory_vma *const *)b;

    if (x->map.offset != y->map.offset)
        return x->map.offset < y->map.offset ? -1 : 1;
    return x->map.start < y->map.start ? -1 : x->map.start > y->map.start;
}

static int plan_from_mappings(struct memory_image *image, struct kobj_dump *ctx,
                              struct memory_object *object, uint32_t sink, struct crs_error *err)
{
    _cleanup_free_ const struct memory_vma **list = calloc(image->vmas.n, sizeof(*list));
    uint64_t next_page = 0;
    size_t n = 0;

    if (!list)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a shared memory object");
    for (size_t i = 0; i < image->vmas.n; i++) {
        const struct memory_vma *vma = &image->vmas.items[i];
        if (vma->record && vma->record->kind == CRS__VMA_KIND__VMA_OBJECT &&
            vma->record->object == object->record->id)
            list[n++] = vma;
    }
    qsort(list, n, sizeof(*list), compare_offsets);
    for (size_t i = 0; i < n; i++) {
        int r = plan_mapping(image, ctx, sink, list[i], &next_page, err);
        if (r < 0)
            return r;
    }
    object->record->size = next_page * PAGE;
    return 0;
}

int memory_objects_plan(struct memory_image *image, struct kobj_dump *ctx, struct crs_error *err)
{
    for (size_t i = 0; i < image->objects.n; i++) {
        struct memory_object *object = &image->objects.items[i];
        Crs__Content *content = object->record->content;
        uint32_t sink;

        int r = copy_plan_sink(&image->plan, &content->chunks, &content->n_chunks, &sink, err);
        if (r == 0)
            r = object->fd >= 0 ? plan_from_fd(image, object, sink, err)
                                : plan_from_mappings(image, ctx, object, sink, err);
        if (r < 0)
            return r;
        content->size = object->record->size;
    }
    return 0;
}
