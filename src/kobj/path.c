/* path.c - descriptors opened with O_PATH: a place, not a file */
#include <fcntl.h>
#include <sys/stat.h>

#include "kobj/file.h"
#include "path.pb-c.h"

static bool match(const struct open_file *file)
{
    return (file->flags & O_PATH) && file_has_path(file);
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    _cleanup_free_ char *path = NULL;
    Crs__Path m = CRS__PATH__INIT;

    int r = file_path_kept(file, &path, err);
    if (r < 0)
        return r;
    m.path = path;
    m.mode = file->st.st_mode;
    return kobj_pack(&m.base, ret_payload, err);
}

static int unpack(const Crs__OpenFile *record, Crs__Path **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__path__descriptor, (ProtobufCMessage **)ret, err);
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__Path *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    r = file_check_path(m->path, m->mode, NULL, err);
    crs__path__free_unpacked(m, NULL);
    return r;
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    Crs__Path *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    int fd = open(m->path, file_open_flags(record) | O_PATH);
    if (fd < 0)
        r = crs_fail_errno(err, CRS_CANT_RESTART, "can't find %s", m->path);
    else
        *ret_fd = fd;
    crs__path__free_unpacked(m, NULL);
    return r;
}

const struct kobj_file_kind kobj_path = {
    .name = "path",
    .title = "place in the file system (O_PATH)",
    .saved = "yes",
    .alone = true,
    .conditions = "it must be there at the restart, and of the same type",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .paths = {&crs__path__descriptor, "path"},
};
