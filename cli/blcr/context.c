/* context.c - where a context goes, and what becomes of what is there already */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "cli/blcr/context.h"

#define MODE        0400
#define MAX_BACKUPS 1000000

/* ---- paths ---- */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* The directory of a path, which is absolute. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* Absolute, and without links: a file that a link leads to is replaced, not the link. */
static int full_path(const char *path, char **ret, struct crs_error *err)
{
    _cleanup_free_ char *copy = strdup(path);
    size_t n = copy ? strlen(copy) : 0;

    if (!copy)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (n == 0)
        return crs_fail(err, CRS_STORAGE, ENOENT, "the file's name is empty");
    while (n > 1 && copy[n - 1] == '/')
        copy[--n] = 0;
    *ret = realpath(copy, NULL);
    if (*ret)
        return 0;
    if (errno != ENOENT)
        return crs_fail_errno(err, CRS_STORAGE, "%s", path);
    char *slash = strrchr(copy, '/');
    const char *name = slash ? slash + 1 : copy;
    if (slash)
        *slash = 0;
    _cleanup_free_ char *directory = realpath(!slash ? "." : slash == copy ? "/" : copy, NULL);
    if (!directory)
        return crs_fail_errno(err, CRS_STORAGE, "the directory of %s", path);
    *ret = format_string("%s/%s", strcmp(directory, "/") == 0 ? "" : directory, name);
    return *ret ? 0 : crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

static int name_temporary(struct context *d, struct crs_error *err)
{
    _cleanup_free_ char *directory = directory_of(d->path);

    d->written = directory
                     ? format_string("%s/.%s.tmp", strcmp(directory, "/") == 0 ? "" : directory,
                                     last_part(d->path))
                     : NULL;
    return d->written ? 0 : crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* ---- files ---- */

/* Ours alone: whoever else writes to the same temporary file holds its lock. 1: look again. */
static int lock(int fd, const char *path, struct crs_error *err)
{
    struct stat st;

    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? crs_fail(err, CRS_BUSY, EBUSY, "%s: another checkpoint writes there", path)
                   : 0; /* a file system without locks */
    return fstat(fd, &st) == 0 && st.st_nlink == 0 ? 1 : 0;
}

/* A tool that was killed left it behind, or one is at work. 0: it is gone; 1: look again. */
static int remove_left_over(const char *path, struct crs_error *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return errno == ENOENT ? 0 : crs_fail_errno(err, CRS_STORAGE, "%s is in the way", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return crs_fail(err, CRS_STORAGE, EEXIST, "%s is in the way", path);
    int r = lock(fd, path, err);
    if (r != 0)
        return r < 0 ? r : 0;
    if (unlink(path) < 0 && errno != ENOENT)
        return crs_fail_errno(err, CRS_STORAGE, "can't remove %s, which was left behind", path);
    return 0;
}

static int create_temporary(struct context *d, struct crs_error *err)
{
    for (int tries = 0; tries < 100; tries++) {
        _cleanup_close_ int fd =
            open(d->written, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, MODE);
        int r = fd >= 0           ? lock(fd, d->written, err)
                : errno == EEXIST ? remove_left_over(d->written, err)
                                  : crs_fail_errno(err, CRS_STORAGE, "can't create %s", d->written);
        if (r < 0)
            return r;
        if (fd < 0 || r > 0)
            continue;
        d->fd = TAKE_FD(fd);
        d->remove = true;
        return 0;
    }
    return crs_fail(err, CRS_BUSY, EBUSY, "%s: another checkpoint writes there", d->written);
}

/* A context of before can't be written by its owner (mode 0400): it may, for this moment. */
static int open_old(const char *path, const struct stat *st)
{
    int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY;
    int fd = open(path, flags);

    if (fd >= 0 || errno != EACCES || !S_ISREG(st->st_mode) || st->st_uid != geteuid())
        return fd;
    if (chmod(path, (st->st_mode & 07777) | S_IWUSR) < 0)
        return -1;
    fd = open(path, flags);
    int errnum = errno;
    chmod(path, st->st_mode & 07777);
    errno = errnum;
    return fd;
}

/* Its content goes when the request is accepted. */
static int use_in_place(struct context *d, const struct stat *st, struct crs_error *err)
{
    d->written = strdup(d->path);
    d->in_place = true;
    d->fd = d->written ? open_old(d->path, st) : -1;
    if (!d->written)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    return d->fd < 0 ? crs_fail_errno(err, CRS_STORAGE, "can't open %s", d->path) : 0;
}

static int create_new(struct context *d, struct crs_error *err)
{
    d->written = strdup(d->path);
    d->fd = d->written ? open(d->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, MODE) : -1;
    if (!d->written)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (d->fd < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't create %s", d->path);
    d->remove = true;
    return 0;
}

static int open_file(struct context *d, struct crs_error *err)
{
    struct stat st;
    bool there = stat(d->path, &st) == 0;

    if (there && S_ISDIR(st.st_mode))
        return crs_fail(err, CRS_STORAGE, EISDIR, "%s is a directory (--dir is for these)",
                        d->path);
    if (d->wish.policy == CONTEXT_NOCLOBBER)
        return create_new(d, err);
    /* A device or a FIFO is never replaced. */
    if (there && (!S_ISREG(st.st_mode) || d->wish.policy == CONTEXT_CLOBBER))
        return use_in_place(d, &st, err);
    if (d->wish.policy == CONTEXT_CLOBBER)
        return create_new(d, err);
    int r = name_temporary(d, err);
    return r < 0 ? r : create_temporary(d, err);
}

/* ---- directories ---- */

static bool is_empty_directory(const char *path)
{
    _cleanup_closedir_ DIR *dir = opendir(path);

    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            return false;
    return dir != NULL;
}

/* What was saved before stays: a directory takes no other's place but an empty one's. */
static int open_directory(struct context *d, struct crs_error *err)
{
    struct stat st;
    bool there = lstat(d->path, &st) == 0;

    if (there && !S_ISDIR(st.st_mode))
        return crs_fail(err, CRS_STORAGE, ENOTDIR, "%s is no directory", d->path);
    if (there && d->wish.policy == CONTEXT_NOCLOBBER)
        return crs_fail(err, CRS_STORAGE, EEXIST, "%s is there already", d->path);
    if (there && d->wish.policy != CONTEXT_BACKUP && !is_empty_directory(d->path))
        return crs_fail(err, CRS_STORAGE, ENOTEMPTY,
                        "%s is not empty (--backup gives it another name)", d->path);
    int r = name_temporary(d, err);
    if (r == 0 && lstat(d->written, &st) == 0)
        return crs_fail(err, CRS_STORAGE, EEXIST, "%s is in the way", d->written);
    d->remove = r == 0;
    return r;
}

/* ---- in order ---- */

static int use_descriptor(struct context *d, struct crs_error *err)
{
    int flags = fcntl(d->wish.fd, F_GETFL);

    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || (flags & O_PATH))
        return crs_fail(err, CRS_USAGE, EBADF, "descriptor %d isn't open for writing", d->wish.fd);
    d->fd = fcntl(d->wish.fd, F_DUPFD_CLOEXEC, 3);
    return d->fd < 0 ? crs_fail_errno(err, CRS_FAILED, "descriptor %d", d->wish.fd) : 0;
}

int context_open(const struct context_wish *wish, struct context *ret, struct crs_error *err)
{
    _cleanup_context_ struct context d = {.wish = *wish, .fd = -1};
    int r = wish->kind == CONTEXT_FD ? 0 : full_path(wish->path, &d.path, err);

    if (r == 0)
        r = wish->kind == CONTEXT_FD     ? use_descriptor(&d, err)
            : wish->kind == CONTEXT_FILE ? open_file(&d, err)
                                         : open_directory(&d, err);
    if (r < 0)
        return r;
    *ret = d;
    d = (struct context)CONTEXT_INIT;
    return 0;
}

int context_begin(struct context *d, struct crs_error *err)
{
    struct stat st;

    if (!d->in_place || fstat(d->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    if (ftruncate(d->fd, 0) < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't empty %s", d->path);
    d->remove = true; /* a part of a context is of no use */
    return 0;
}

/* ---- the old file's other name ---- */

/* Give the file a second name, or where the file system has none another one. */
static int link_or_rename(const char *old, const char *name)
{
    if (link(old, name) == 0)
        return 0;
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
        return -errno;
    return renameat2(AT_FDCWD, old, AT_FDCWD, name, RENAME_NOREPLACE) == 0 ? 0 : -errno;
}

static int back_up_numbered(const char *path)
{
    for (int n = 1; n < MAX_BACKUPS; n++) {
        _cleanup_free_ char *name = format_string("%s.~%d~", path, n);
        int r = name ? link_or_rename(path, name) : -ENOMEM;
        if (r != -EEXIST)
            return r;
    }
    return -EEXIST;
}

static int back_up_as(const char *path, const char *name)
{
    struct stat old, other;

    if (lstat(path, &old) < 0)
        return -errno;
    if (S_ISDIR(old.st_mode))
        return rename(path, name) == 0 ? 0 : -errno;
    if (stat(name, &other) == 0 && old.st_dev == other.st_dev && old.st_ino == other.st_ino)
        return -EINVAL; /* it is the file itself */
    if (unlink(name) < 0 && errno != ENOENT)
        return -errno;
    return link_or_rename(path, name);
}

/* Of a file there is one of the old name at each instant. */
static int back_up(const struct context *d, struct crs_error *err)
{
    const char *name = d->wish.backup;
    struct stat st;

    if (lstat(d->path, &st) < 0)
        return 0;
    int r = name ? back_up_as(d->path, name) : back_up_numbered(d->path);
    if (r < 0)
        return crs_fail(err, CRS_STORAGE, -r, "can't keep the old %s%s%s: %s", d->path,
                        name ? " as " : "", name ? name : "", strerror(-r));
    return 0;
}

/* ---- publish ---- */

static int sync_file(const struct context *d, struct crs_error *err)
{
    /* Pipes, sockets and terminals have nothing to sync. */
    if (!d->wish.sync || d->fd < 0 || fsync(d->fd) == 0 || errno == EINVAL || errno == EROFS)
        return 0;
    return crs_fail_errno(err, CRS_STORAGE, "can't sync %s", d->written ? d->written : "the file");
}

static int sync_directory(const struct context *d, struct crs_error *err)
{
    _cleanup_free_ char *directory = d->path && d->wish.sync ? directory_of(d->path) : NULL;
    _cleanup_close_ int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (!directory || fd < 0 || fsync(fd) == 0 || errno == EINVAL)
        return 0; /* one may have a directory that one may not read */
    return crs_fail_errno(err, CRS_STORAGE, "can't sync the directory of %s", d->path);
}

int context_publish(struct context *d, struct crs_error *err)
{
    int r = sync_file(d, err);

    if (r == 0 && d->wish.policy == CONTEXT_BACKUP && d->path && !d->in_place)
        r = back_up(d, err);
    if (r < 0)
        return r;
    if (d->written && strcmp(d->written, d->path) != 0 && rename(d->written, d->path) < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't give %s the name %s", d->written, d->path);
    d->remove = false;
    return sync_directory(d, err);
}

void context_close(struct context *d)
{
    int saved = errno;

    if (d->remove && d->wish.kind == CONTEXT_DIRECTORY)
        crs_snapshot_remove(d->written, NULL);
    else if (d->remove)
        unlink(d->written);
    if (d->fd >= 0)
        close(d->fd);
    free(d->path);
    free(d->written);
    *d = (struct context)CONTEXT_INIT;
    errno = saved;
}
