/*
 * directory.c - directories made, made safe, removed
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "openpal/crs/directory.h"

/* ---- made ---- */

static int check(const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return -1;
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH))) {
        errno = EPERM;
        return -1;
    }
    return 0;
}

int directory_make(const char *path)
{
    _cleanup_free_ char *copy = strdup(path);

    if (!copy)
        return -1;
    for (char *slash = copy; (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
            return -1;
        *slash = '/';
    }
    if (mkdir(copy, 0700) < 0 && errno != EEXIST)
        return -1;
    return check(copy);
}

/* ---- walked ---- */

typedef int (*visit_fn)(int dirfd, const char *name, bool is_dir);

static int walk(int dirfd, const char *name, visit_fn visit);

static int walk_entry(int dirfd, const char *name, visit_fn visit)
{
    struct stat st;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -1;
    return S_ISDIR(st.st_mode) ? walk(dirfd, name, visit) : visit(dirfd, name, false);
}

/* What is in it first, then itself. */
static int walk(int dirfd, const char *name, visit_fn visit)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!dir) {
        cleanup_close(&fd);
        return -1;
    }
    while (errno = 0, (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (walk_entry(fd, entry->d_name, visit) < 0)
            return -1;
    }
    return errno ? -1 : visit(dirfd, name, true);
}

static int remove_one(int dirfd, const char *name, bool is_dir)
{
    return unlinkat(dirfd, name, is_dir ? AT_REMOVEDIR : 0);
}

int directory_remove(const char *path)
{
    return walk(AT_FDCWD, path, remove_one);
}

/* Only what has content: opening a FIFO would wait for its other end. */
static int sync_one(int dirfd, const char *name, bool is_dir)
{
    struct stat st;
    _cleanup_close_ int fd = -1;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return 0;
    fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? -1 : fsync(fd);
}

int directory_sync(const char *path)
{
    return walk(AT_FDCWD, path, sync_one);
}

int directory_is_empty(const char *path)
{
    _cleanup_closedir_ DIR *dir = opendir(path);
    struct dirent *entry;

    if (!dir)
        return -1;
    while (errno = 0, (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            errno = ENOTEMPTY;
            return -1;
        }
    }
    return errno ? -1 : 0;
}
