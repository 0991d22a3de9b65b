/* directory.c - open directories, with the position of readdir */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "directory.pb-c.h"
#include "kobj/file.h"

static bool match(const struct open_file *file)
{
    return S_ISDIR(file->st.st_mode) && file_has_path(file);
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    _cleanup_free_ char *path = NULL;
    Crs__Directory m = CRS__DIRECTORY__INIT;

    int r = file_path_kept(file, &path, err);
    if (r < 0)
        return r;
    m.path = path;
    m.device = file->st.st_dev;
    m.inode = file->st.st_ino;
    return kobj_pack(&m.base, ret_payload, err);
}

static int unpack(const Crs__OpenFile *record, Crs__Directory **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__directory__descriptor, (ProtobufCMessage **)ret, err);
}

static int open_record(const Crs__OpenFile *record, const Crs__Directory *m, int *ret_fd,
                       struct crs_error *err)
{
    int fd = open(m->path, file_open_flags(record) | O_DIRECTORY);

    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't open the directory %s", m->path);
    *ret_fd = fd;
    return 0;
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    Crs__Directory *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    r = file_check_path(m->path, S_IFDIR, NULL, err);
    if (r == 0)
        r = open_record(record, m, &fd, err);
    if (r == 0)
        r = locks_check(record, m->path, err);
    crs__directory__free_unpacked(m, NULL);
    return r;
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    Crs__Directory *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    r = open_record(record, m, &fd, err);
    crs__directory__free_unpacked(m, NULL);
    if (r < 0)
        return r;
    return file_finish_at(TAKE_FD(fd), record, ret_fd, err);
}

const struct kobj_file_kind kobj_directory = {
    .name = "directory",
    .title = "directory",
    .saved = "yes",
    .alone = true,
    .conditions = "it must be there at the restart; the position counts entries as the file system "
                  "does, so it is exact as long as the directory is unchanged",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .paths = {&crs__directory__descriptor, "path"},
};
