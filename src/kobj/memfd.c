/* memfd.c - files in memory (memfd_create): content, name and seals are in the shared object */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kobj/file.h"
#include "memfd.pb-c.h"

#define PREFIX "/memfd:"
#define MARK   " (deleted)"

static bool match(const struct open_file *file)
{
    return S_ISREG(file->st.st_mode) && file->st.st_nlink == 0 &&
           strncmp(file->link, PREFIX, strlen(PREFIX)) == 0 &&
           ((file->flags & O_PATH) || fcntl(file->dup_fd, F_GET_SEALS) >= 0);
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    Crs__Memfd m = CRS__MEMFD__INIT;
    bool new;
    struct kobj_object *object = kobj_object_get(ctx, file->st.st_dev, file->st.st_ino, &new);
    const char *name = file->link + strlen(PREFIX);
    size_t n = strlen(name);
    _cleanup_free_ char *copy = strndup(name, n > strlen(MARK) ? n - strlen(MARK) : 0);

    if (!object || !copy)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = kobj_object_save(ctx, object, CRS__OBJECT_KIND__OBJECT_MEMFD, copy, file->dup_fd, err);
    if (r < 0)
        return crs_fail_at(err, r, "fd %d", file->fd);
    m.object = object->record->id;
    return kobj_pack(&m.base, ret_payload, err);
}

static int unpack(const Crs__OpenFile *record, Crs__Memfd **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__memfd__descriptor, (ProtobufCMessage **)ret, err);
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__Memfd *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    if (m->object < 1 || m->object > ctx->memory->n_objects)
        r = crs_fail(err, CRS_DAMAGED, EINVAL, "%s refers to object %u, which isn't there",
                     record->name, m->object);
    crs__memfd__free_unpacked(m, NULL);
    return r;
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    Crs__Memfd *m;
    int object_fd, r = unpack(record, &m, err);

    if (r < 0)
        return r;
    r = kobj_object_open(ctx, m->object, &object_fd, err);
    crs__memfd__free_unpacked(m, NULL);
    if (r < 0)
        return r;
    r = file_reopen(object_fd, file_open_flags(record), &fd);
    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r, "can't open the memfd again: %s", strerror(-r));
    return file_finish_at(TAKE_FD(fd), record, ret_fd, err);
}

const struct kobj_file_kind kobj_memfd = {
    .name = "memfd",
    .title = "file in memory (memfd)",
    .saved = "yes",
    .conditions = "of huge pages: as many must be free at the restart",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
};
