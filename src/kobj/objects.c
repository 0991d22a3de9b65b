/* objects.c - shared memory and files without a name: saved once, made once */
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/file.h"

/* Name of a memfd that takes the place of shared anonymous memory. */
#define ANONYMOUS_NAME "shared-anonymous"

struct kobj_object *kobj_object_find(struct kobj_dump *ctx, dev_t dev, ino_t ino)
{
    for (size_t i = 0; i < ctx->objects.n; i++)
        if (ctx->objects.items[i].dev == dev && ctx->objects.items[i].ino == ino)
            return &ctx->objects.items[i];
    return NULL;
}

struct kobj_object *kobj_object_get(struct kobj_dump *ctx, dev_t dev, ino_t ino, bool *ret_new)
{
    struct kobj_object *known = kobj_object_find(ctx, dev, ino);

    *ret_new = !known;
    if (known)
        return known;
    Crs__MemoryObject *record = malloc(sizeof(*record));
    struct kobj_object *new = record ? ARRAY_ADD(&ctx->objects) : NULL;
    if (!new) {
        free(record);
        return NULL;
    }
    crs__memory_object__init(record);
    record->id = ctx->objects.n;
    *new = (struct kobj_object){.dev = dev, .ino = ino, .record = record};
    return new;
}

/* The content is read by a description of our own: the program's may not be readable, and looking
 * for holes would move its position. */
static int open_reader(int fd, int *ret_fd)
{
    return file_reopen(fd, O_RDONLY | O_NONBLOCK, ret_fd);
}

/* 0: it isn't of huge pages. */
static uint64_t huge_page_bytes(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC ? fs.f_bsize : 0;
}

int kobj_object_save(struct kobj_dump *ctx, struct kobj_object *object, Crs__ObjectKind kind,
                     const char *name, int fd, struct crs_error *err)
{
    Crs__MemoryObject *record = object->record;
    _cleanup_close_ int reader = -1;
    struct stat st;

    if (record->content)
        return 0;
    int r = open_reader(fd, &reader);
    if (r < 0 || fstat(reader, &st) < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, r < 0 ? -r : errno,
                        "%s has no name any more and its content can't be read: %s", name,
                        strerror(r < 0 ? -r : errno));
    char *copy = strdup(name);
    if (!copy)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (record->name != protobuf_c_empty_string)
        free(record->name);
    record->name = copy;
    record->kind = kind;
    record->size = st.st_size;
    record->mode = st.st_mode & 07777;
    record->huge_page_bytes = huge_page_bytes(reader);
    int seals = fcntl(reader, F_GET_SEALS);
    record->seals = kind == CRS__OBJECT_KIND__OBJECT_MEMFD && seals > 0 ? seals : 0;
    return store_put_content(ctx->writer, reader, st.st_size, &record->content, err);
}

/* ---- restart ---- */

/* O_TMPFILE needs support of the file system; the second way works everywhere. */
static int make_nameless(const char *directory)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0)
        return fd;
    _cleanup_free_ char *path = format_string("%s/.crs-XXXXXX", directory);
    if (!path)
        return -1;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* In the directory where it was, if that can be; its content is what counts. */
static int make_deleted(const Crs__MemoryObject *record)
{
    const char *slash = strrchr(record->name, '/');
    const char *elsewhere[] = {getenv("TMPDIR"), "/var/tmp", "/tmp", "/dev/shm"};
    int fd = -1;

    if (record->name[0] == '/') {
        _cleanup_free_ char *directory =
            strndup(record->name, slash == record->name ? 1 : slash - record->name);
        if (directory)
            fd = make_nameless(directory);
    }
    for (size_t i = 0; fd < 0 && i < ELEMENTS(elsewhere); i++)
        if (elsewhere[i] && elsewhere[i][0] == '/')
            fd = make_nameless(elsewhere[i]);
    return fd;
}

static int make(const Crs__MemoryObject *record)
{
    unsigned huge = record->huge_page_bytes
                        ? MFD_HUGETLB | (unsigned)__builtin_ctzll(record->huge_page_bytes)
                                            << MFD_HUGE_SHIFT
                        : 0;

    switch (record->kind) {
    case CRS__OBJECT_KIND__OBJECT_SHARED_ANONYMOUS:
        return memfd_create(ANONYMOUS_NAME, MFD_CLOEXEC | huge);
    case CRS__OBJECT_KIND__OBJECT_MEMFD:
        return memfd_create(record->name, MFD_CLOEXEC | MFD_ALLOW_SEALING | huge);
    case CRS__OBJECT_KIND__OBJECT_DELETED_FILE:
        return make_deleted(record);
    default:
        errno = EOPNOTSUPP;
        return -1;
    }
}

/*
 * Seals. F_SEAL_FUTURE_WRITE forbids shared writable mappings from then on, but leaves those that
 * are there: with it, seals wait until memory is mapped (kobj_objects_seal). Without it they are
 * set at once: a shared mapping made later is then read-only for good, as it was.
 */
static bool seals_wait(const Crs__MemoryObject *record)
{
    return record->seals & F_SEAL_FUTURE_WRITE;
}

static int add_seals(const Crs__MemoryObject *record, int fd, struct crs_error *err)
{
    int seals = record->seals, now = fcntl(fd, F_GET_SEALS);

    if (record->kind != CRS__OBJECT_KIND__OBJECT_MEMFD || now == seals)
        return 0;
    if (fcntl(fd, F_ADD_SEALS, seals) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't seal the memfd %s (0x%x)", record->name,
                              seals);
    return 0;
}

static int fill(struct kobj_restore *ctx, const Crs__MemoryObject *record, int fd,
                struct crs_error *err)
{
    int r = 0;

    if (record->size > INT64_MAX || ftruncate(fd, record->size) < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't make %s as long as it was (%llu bytes)",
                              record->name, (unsigned long long)record->size);
    if (record->content)
        r = store_get_content(ctx->reader, record->content, fd, err);
    if (r == 0 && record->kind != CRS__OBJECT_KIND__OBJECT_SHARED_ANONYMOUS &&
        fchmod(fd, record->mode & 07777) < 0)
        r = crs_fail_errno(err, CRS_CANT_RESTART, "can't set the mode of %s", record->name);
    if (r == 0 && !seals_wait(record))
        r = add_seals(record, fd, err);
    return r;
}

static bool is_named(const Crs__MemoryObject *record)
{
    return record->kind == CRS__OBJECT_KIND__OBJECT_POSIX_SHM ||
           record->kind == CRS__OBJECT_KIND__OBJECT_TEMPORARY_FILE;
}

static int make_filled(struct kobj_restore *ctx, const Crs__MemoryObject *record, int *ret_fd,
                       struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    bool to_fill = true;
    int r = 0;

    if (is_named(record))
        r = object_open_named(ctx, record, &fd, &to_fill, err);
    else if ((fd = make(record)) < 0)
        r = crs_fail_errno(err, CRS_CANT_RESTART, "can't make a file for %s",
                           record->name[0] ? record->name : "shared memory");
    if (r == 0 && to_fill)
        r = fill(ctx, record, fd, err);
    if (r == 0)
        *ret_fd = TAKE_FD(fd);
    return r;
}

uint32_t kobj_object_find_named(const struct kobj_restore *ctx, const char *path)
{
    for (size_t i = 0; i < ctx->memory->n_objects; i++)
        if (is_named(ctx->memory->objects[i]) && strcmp(ctx->memory->objects[i]->name, path) == 0)
            return i + 1;
    return 0;
}

int kobj_object_open(struct kobj_restore *ctx, uint32_t id, int *ret_fd, struct crs_error *err)
{
    size_t n = ctx->memory->n_objects;

    if (id < 1 || id > n || ctx->memory->objects[id - 1]->id != id)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "there is no memory object %u", id);
    if (!ctx->object_fds) {
        ctx->object_fds = malloc(n * sizeof(int));
        if (!ctx->object_fds)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        for (size_t i = 0; i < n; i++)
            ctx->object_fds[i] = -1;
    }
    int *place = &ctx->object_fds[id - 1];
    int r = *place < 0 ? make_filled(ctx, ctx->memory->objects[id - 1], place, err) : 0;
    if (r == 0)
        *ret_fd = *place;
    return r;
}

int kobj_objects_seal(struct kobj_restore *ctx, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; ctx->object_fds && r == 0 && i < ctx->memory->n_objects; i++)
        if (ctx->object_fds[i] >= 0 && seals_wait(ctx->memory->objects[i]))
            r = add_seals(ctx->memory->objects[i], ctx->object_fds[i], err);
    return r;
}
