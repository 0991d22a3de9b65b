/* remove.c - a snapshot removed: first it stops being one, then its files go */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "store/layout.h"
#include "store/store.h"
#include "store/temporary.h"

static int no_snapshot(const char *path, const char *why, struct crs_error *err)
{
    return crs_fail(err, CRS_NOT_FOUND, EINVAL, "%s is not a snapshot: %s; nothing was removed",
                    path, why);
}

struct found {
    bool manifest, removed, records;
};

/* Only what belongs to a snapshot is in there. */
static int look_through(int fd, const char *path, struct found *ret, struct crs_error *err)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct stat st;

    if (!dir) {
        cleanup_close(&copy);
        return crs_fail_errno(err, CRS_FAILED, "can't read %s", path);
    }
    for (struct dirent *d; (d = readdir(dir));) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (!layout_is_ours(d->d_name) || fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            S_ISDIR(st.st_mode))
            return crs_fail(err, CRS_FAILED, ENOTEMPTY,
                            "%s holds '%s', which is no file of a snapshot; nothing was removed",
                            path, d->d_name);
        ret->manifest |= strcmp(d->d_name, MANIFEST_NAME) == 0;
        ret->removed |= strcmp(d->d_name, MANIFEST_REMOVED) == 0;
        ret->records |= layout_is_record(d->d_name) || layout_is_pack(d->d_name, NULL);
    }
    return 0;
}

/* Many things have a manifest.json. Ours names its format at once; one that is damaged there
 * still has its records beside it. */
static bool is_manifest_of_ours(int fd)
{
    static const char start[] = "{\n \"format\": \"" FORMAT_NAME "\"";
    char text[sizeof(start)] = "";

    _cleanup_close_ int file =
        openat(fd, MANIFEST_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return file >= 0 && pread_full(file, text, sizeof(start) - 1, 0) == 0 &&
           strcmp(text, start) == 0;
}

static int check_is_snapshot(int fd, const char *path, struct found *found, struct crs_error *err)
{
    int r = look_through(fd, path, found, err);

    if (r < 0)
        return r;
    if (!found->manifest && !found->removed)
        return no_snapshot(path, "it has no " MANIFEST_NAME, err);
    if (found->manifest && !found->records && !is_manifest_of_ours(fd))
        return no_snapshot(path, "its " MANIFEST_NAME " is of something else", err);
    return 0;
}

/* The marker of an unfinished removal goes last: until then it can be finished. */
static int remove_files(int fd, const char *path, struct crs_error *err)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = copy < 0 ? NULL : fdopendir(copy);

    if (!dir) {
        cleanup_close(&copy);
        return crs_fail_errno(err, CRS_FAILED, "can't read %s", path);
    }
    for (struct dirent *d; (d = readdir(dir));) {
        if (!layout_is_ours(d->d_name) || strcmp(d->d_name, MANIFEST_REMOVED) == 0)
            continue;
        if (unlinkat(fd, d->d_name, 0) < 0 && errno != ENOENT)
            return crs_fail_errno(err, CRS_FAILED, "can't remove %s of %s", d->d_name, path);
    }
    if (unlinkat(fd, MANIFEST_REMOVED, 0) < 0 && errno != ENOENT)
        return crs_fail_errno(err, CRS_FAILED, "can't remove %s of %s", MANIFEST_REMOVED, path);
    return 0;
}

static int remove_directory(const char *real, struct crs_error *err)
{
    _cleanup_free_ char *parent = strdup(real);

    if (rmdir(real) < 0 && errno != ENOENT)
        return crs_fail_errno(err, CRS_FAILED, "can't remove the empty directory %s", real);
    if (!parent)
        return 0;
    *strrchr(parent, '/') = 0;
    _cleanup_close_ int fd = open(*parent ? parent : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        fsync(fd); /* if the machine dies now, it may be back, and be removed again */
    return 0;
}

int store_remove(const char *path, struct crs_error *err)
{
    struct found found = {0};

    _cleanup_free_ char *real = realpath(path, NULL);
    if (!real)
        return crs_fail(err, CRS_NOT_FOUND, errno, "there is no snapshot %s: %s", path,
                        strerror(errno));
    _cleanup_close_ int fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOTDIR)
        return no_snapshot(path, "it is not a directory (a stream is removed by rm)", err);
    if (fd < 0)
        return crs_fail_errno(err, errno == EACCES ? CRS_NOT_PERMITTED : CRS_FAILED,
                              "can't open %s", path);
    if (temporary_is_name(strrchr(real, '/') + 1, NULL))
        return crs_fail(err, CRS_BUSY, EBUSY,
                        "%s is being written; what a dead writer has left goes by itself", path);
    int r = check_is_snapshot(fd, path, &found, err);
    if (r < 0)
        return r;
    if (found.manifest && renameat(fd, MANIFEST_NAME, fd, MANIFEST_REMOVED) < 0)
        return crs_fail_errno(err, errno == EACCES ? CRS_NOT_PERMITTED : CRS_FAILED,
                              "can't remove %s", path);
    if (fsync(fd) < 0 && errno != EINVAL) /* EINVAL: not for directories there */
        return crs_fail_errno(err, CRS_FAILED, "can't sync %s", path);
    r = remove_files(fd, path, err);
    if (r < 0)
        return r;
    return remove_directory(real, err);
}
