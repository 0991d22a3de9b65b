/* device.c - character devices without state: /dev/null, zero, full, random, urandom */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "device.pb-c.h"
#include "kobj/file.h"

#define MEMORY_MAJOR 1

static const struct {
    unsigned minor;
    const char *path;
} devices[] = {
    {3, "/dev/null"}, {5, "/dev/zero"}, {7, "/dev/full"}, {8, "/dev/random"}, {9, "/dev/urandom"},
};

static const char *usual_path(dev_t rdev)
{
    for (size_t i = 0; i < ELEMENTS(devices); i++)
        if (rdev == makedev(MEMORY_MAJOR, devices[i].minor))
            return devices[i].path;
    return NULL;
}

static bool match(const struct open_file *file)
{
    return S_ISCHR(file->st.st_mode) && usual_path(file->st.st_rdev);
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    Crs__Device m = CRS__DEVICE__INIT;

    m.path = file->link;
    m.major = major(file->st.st_rdev);
    m.minor = minor(file->st.st_rdev);
    return kobj_pack(&m.base, ret_payload, err);
}

/* By its own path, else by the usual one: what counts is the number. */
static int open_device(const Crs__OpenFile *record, int *ret_fd, struct crs_error *err)
{
    Crs__Device *m;
    struct stat st;
    int r = file_unpack(record, &crs__device__descriptor, (ProtobufCMessage **)&m, err);

    if (r < 0)
        return r;
    dev_t rdev = makedev(m->major, m->minor);
    const char *paths[] = {m->path, usual_path(rdev)};
    r = -ENODEV;
    for (size_t i = 0; r < 0 && i < ELEMENTS(paths) && paths[1]; i++) {
        if (stat(paths[i], &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != rdev)
            continue;
        int fd = open(paths[i], file_open_flags(record));
        r = fd < 0 ? -errno : 0;
        if (r == 0)
            *ret_fd = fd;
    }
    crs__device__free_unpacked(m, NULL);
    return r < 0 ? crs_fail(err, CRS_CANT_RESTART, -r, "the device %s can't be opened here",
                            record->name)
                 : 0;
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    _cleanup_close_ int fd = -1;

    return open_device(record, &fd, err);
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    int fd, r = open_device(record, &fd, err);

    return r < 0 ? r : file_finish(fd, record, ret_fd, err);
}

const struct kobj_file_kind kobj_device = {
    .name = "device",
    .title = "device without state (/dev/null, zero, full, random, urandom)",
    .saved = "yes",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
};
