/*
 * regular.c - regular files
 *
 * A file with a name is opened again by its path; what was written to it after the saved instant
 * stays. So is one that has lost the name that it was opened by, but has another. One without a
 * name (deleted, or made with O_TMPFILE) is saved with its content, as an object that descriptors
 * and mappings share.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kobj/file.h"
#include "kobj/inotify_paths.h"
#include "regular.pb-c.h"

static bool match(const struct open_file *file)
{
    return S_ISREG(file->st.st_mode) && file_has_path(file);
}

static int dump_content(struct kobj_dump *ctx, struct open_file *file, Crs__Regular *m,
                        struct crs_error *err)
{
    bool new;
    struct kobj_object *object = kobj_object_get(ctx, file->st.st_dev, file->st.st_ino, &new);

    if (!object)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    m->object = object->record->id;
    if (file->st.st_nlink > 0)
        kobj_warn(
            ctx->progress, ctx->progress_arg,
            "fd %d (%s): the file has other names, which were not found, but not this one any "
            "more; after a restart the program has a file of its own with the same content",
            file->fd, file->link);
    size_t n = strlen(file->link), mark = strlen(" (deleted)");
    char *name = strndup(file->link, n > mark ? n - mark : n);
    if (!name)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = kobj_object_save(ctx, object, CRS__OBJECT_KIND__OBJECT_DELETED_FILE, name, file->dup_fd,
                             err);
    free(name);
    return r < 0 ? crs_fail_at(err, r, "fd %d", file->fd) : 0;
}

/* Another name of a file that has lost this one. Not where its content is saved already, since it
 * is mapped: then that is shared with the mapping. */
static int find_other_name(struct kobj_dump *ctx, const struct open_file *file, char **ret,
                           struct crs_error *err)
{
    if (file->st.st_nlink == 0 || kobj_object_find(ctx, file->st.st_dev, file->st.st_ino))
        return 0;
    return inotify_find_name(ctx, file->holder->proc_fd, file->link, &file->st, true, ret, err);
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    _cleanup_free_ char *path = NULL;
    Crs__Regular m = CRS__REGULAR__INIT;
    int r = 0;

    m.size = file->st.st_size;
    m.mtime_ns = (int64_t)file->st.st_mtim.tv_sec * 1000000000 + file->st.st_mtim.tv_nsec;
    m.device = file->st.st_dev;
    m.inode = file->st.st_ino;
    m.mode = file->st.st_mode;
    bool deleted = file_is_deleted(file);
    r = deleted ? find_other_name(ctx, file, &path, err) : file_path(file, &path, err);
    if (path)
        m.path = path;
    else if (r == 0)
        r = dump_content(ctx, file, &m, err);
    return r < 0 ? r : kobj_pack(&m.base, ret_payload, err);
}

static int unpack(const Crs__OpenFile *record, Crs__Regular **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__regular__descriptor, (ProtobufCMessage **)ret, err);
}

/* O_NOATIME is for the owner of the file only. */
static int open_path(const char *path, int flags)
{
    int fd = open(path, flags);

    if (fd < 0 && errno == EPERM && (flags & O_NOATIME))
        fd = open(path, flags & ~O_NOATIME);
    return fd;
}

static int check_named(struct kobj_restore *ctx, const Crs__OpenFile *record, const Crs__Regular *m,
                       struct crs_error *err)
{
    struct stat st;

    if (kobj_object_find_named(ctx, m->path)) /* checked there, and made where it is missing */
        return locks_check(record, m->path, err);
    int r = file_check_path(m->path, S_IFREG, &st, err);
    if (r < 0)
        return r;
    if ((uint64_t)st.st_size < m->size)
        return crs_fail(err, CRS_CANT_RESTART, EINVAL,
                        "%s is shorter now (%lld bytes) than when the program had it open "
                        "(%" PRIu64 " bytes, position %" PRIu64 ")",
                        m->path, (long long)st.st_size, m->size, record->position);
    _cleanup_close_ int fd = open_path(m->path, file_open_flags(record) | O_NONBLOCK);
    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't open %s, which the program had open",
                              m->path);
    return locks_check(record, m->path, err);
}

static int check_object(struct kobj_restore *ctx, const Crs__OpenFile *record,
                        const Crs__Regular *m, struct crs_error *err)
{
    if (m->object < 1 || m->object > ctx->memory->n_objects)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "%s refers to object %u, which isn't there",
                        record->name, m->object);
    return 0;
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__Regular *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    r = m->path[0] ? check_named(ctx, record, m, err) : check_object(ctx, record, m, err);
    crs__regular__free_unpacked(m, NULL);
    return r;
}

static int join(struct open_file *file, uint32_t object, struct crs_error *err)
{
    ProtobufCBinaryData *payload = &file->record->payload;
    struct bytes again = {0};
    Crs__Regular *m;
    int r = unpack(file->record, &m, err);

    if (r < 0)
        return r;
    if (m->path != protobuf_c_empty_string)
        free(m->path);
    m->path = (char *)protobuf_c_empty_string;
    m->object = object;
    r = kobj_pack(&m->base, &again, err);
    crs__regular__free_unpacked(m, NULL);
    if (r < 0)
        return r;
    free(payload->data);
    payload->data = again.data;
    payload->len = again.size;
    return 0;
}

int kobj_join_saved_files(struct kobj_dump *ctx, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && ctx->save_files & CRS_SAVE_SHARED && i < ctx->files.n; i++) {
        struct open_file *file = &ctx->files.items[i];
        const struct kobj_object *object =
            file->kind == &kobj_regular && file->record
                ? kobj_object_find(ctx, file->st.st_dev, file->st.st_ino)
                : NULL;
        if (object && object->record->kind == CRS__OBJECT_KIND__OBJECT_DELETED_FILE)
            r = join(file, object->record->id, err);
    }
    return r;
}

/* The mode of the file may forbid now what was allowed when the program opened it. */
static int reopen_object(int object_fd, int flags, int *ret_fd)
{
    struct stat st;

    if (fstat(object_fd, &st) < 0)
        return -errno;
    fchmod(object_fd, (st.st_mode & 07777) | 0600);
    int r = file_reopen(object_fd, flags, ret_fd);
    fchmod(object_fd, st.st_mode & 07777);
    return r;
}

static int open_record(struct kobj_restore *ctx, const Crs__OpenFile *record, const Crs__Regular *m,
                       int *ret_fd, struct crs_error *err)
{
    uint32_t object = m->path[0] ? kobj_object_find_named(ctx, m->path) : 0;
    int object_fd, r = 0;

    if (object)
        r = kobj_object_open(ctx, object, &object_fd, err);
    if (r < 0)
        return r;
    if (m->path[0]) {
        *ret_fd = open_path(m->path, file_open_flags(record));
        r = *ret_fd < 0 ? -errno : 0;
    } else {
        r = kobj_object_open(ctx, m->object, &object_fd, err);
        if (r < 0)
            return r;
        r = reopen_object(object_fd, file_open_flags(record), ret_fd);
    }
    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r, "can't open it: %s", strerror(-r));
    return 0;
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    Crs__Regular *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    r = open_record(ctx, record, m, &fd, err);
    crs__regular__free_unpacked(m, NULL);
    if (r < 0)
        return r;
    return file_finish_at(TAKE_FD(fd), record, ret_fd, err);
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__Regular *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    snprintf(text, size, "position %" PRIu64 " of %" PRIu64 "%s%s%s", record->position, m->size,
             record->flags & O_APPEND ? ", append" : "", m->path[0] ? "" : ", content saved",
             record->n_locks ? ", locked" : "");
    crs__regular__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_regular = {
    .name = "regular",
    .title = "regular file",
    .saved = "yes",
    .alone = true,
    .conditions = "a file with a name must be there at the restart, not shorter than it was; one "
                  "that was deleted is saved with its content",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .describe = describe,
    .paths = {&crs__regular__descriptor, "path"},
};
