/* memory_objects.c - shared memory without a file's name, found by its mappings */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

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
    if (memory_is_sysv(map)) /* a descriptor can't refer to it */
        return 0;
    if (fd < 0 && !proc_map_marked_deleted(map)) {
        *ret_fd = open(map->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        return *ret_fd < 0 ? crs_fail_errno(err, CRS_CANT_CHECKPOINT, "can't read %s", map->name)
                           : 0;
    }
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

static int set_kind(Crs__MemoryObject *record, const struct proc_map *map, bool saves_shared)
{
    Crs__ObjectKind named_kind;
    static const char memfd[] = "/memfd:", zero[] = "/dev/zero",
                      named[] = "[anon_shmem:", huge[] = "/anon_hugepage";
    size_t size = map->end_of_path - map->name;

    if (!proc_map_marked_deleted(map) && kobj_object_is_named(map->name, true, &named_kind) &&
        (named_kind == CRS__OBJECT_KIND__OBJECT_POSIX_SHM || !saves_shared)) {
        record->kind = named_kind;
        return set_name(record, map->name, strlen(map->name));
    }
    if (strncmp(map->name, memfd, strlen(memfd)) == 0) {
        record->kind = CRS__OBJECT_KIND__OBJECT_MEMFD;
        return set_name(record, map->name + strlen(memfd), size - strlen(memfd));
    }
    if ((size == strlen(zero) && strncmp(map->name, zero, size) == 0) ||
        strncmp(map->name, named, strlen(named)) == 0 ||
        strncmp(map->name, huge, strlen(huge)) == 0)
        record->kind = CRS__OBJECT_KIND__OBJECT_SHARED_ANONYMOUS;
    else
        record->kind = CRS__OBJECT_KIND__OBJECT_DELETED_FILE;
    return set_name(record, map->name, size);
}

static int fill_record(struct kobj_dump *ctx, struct memory_object *object,
                       const struct memory_vma *vma, struct crs_error *err)
{
    Crs__MemoryObject *record = object->record;
    const struct proc_map *map = &vma->map;
    struct stat st;

    record->huge_page_bytes = vma->huge_page_bytes;
    record->content = malloc(sizeof(*record->content));
    if (!record->content)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a shared memory object");
    crs__content__init(record->content);
    if (set_kind(record, map, ctx->save_files & CRS_SAVE_SHARED) < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a shared memory object");
    if (memory_is_sysv(map))
        return kobj_sysv_save(ctx, record, map->inode, err);
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
    struct memory_object *object = ARRAY_ADD(&image->set->objects);
    if (!object)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a shared memory object");
    *object = (struct memory_object){shared->record, image, -1};
    int r = open_object(image, ctx, &vma->map, &object->fd, err);
    return r < 0 ? r : fill_record(ctx, object, vma, err);
}
