/* temporary.c - the directory in which a snapshot grows */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "store/layout.h"
#include "temporary.h"

#define MARK         ".tmp-"
#define RANDOM_CHARS 8
#define TRIES        100

/* With room for what surrounds it: a long name is cut. */
#define FINAL_MAX (NAME_MAX - (int)sizeof("." MARK "4294967295-") - RANDOM_CHARS)

/* The permission bits are ours to give, whatever the umask took or a default ACL added. */
static int set_mode(int parent_fd, const char *name, mode_t mode)
{
    struct stat st;

    if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if ((st.st_mode & 07777) == mode || fchmodat(parent_fd, name, mode, 0) == 0)
        return 0;
    /* a file system without permissions */
    return errno == EPERM || errno == EOPNOTSUPP ? 0 : -errno;
}

/*
 * Take the lock of a directory that we just made. -ESTALE when somebody that cleans up was
 * quicker and the directory is gone, or going.
 */
static int take_lock(struct temporary *t)
{
    struct stat st;

    t->lock_fd = openat(t->fd, LOCK_NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (t->lock_fd < 0)
        return errno == ENOENT ? -ESTALE : -errno;
    if (fchmod(t->lock_fd, 0600) < 0 && errno != EPERM && errno != EOPNOTSUPP)
        return -errno;
    if (flock(t->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return -ESTALE;
        cleanup_close(&t->lock_fd);
        t->lock_fd = -1; /* no locks here: nobody will clean up, either */
        return 0;
    }
    if (fstat(t->lock_fd, &st) < 0)
        return -errno;
    return st.st_nlink > 0 ? 0 : -ESTALE;
}

static int try_make(struct temporary *t, const char *final)
{
    uint32_t chance;

    if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
        return -errno;
    snprintf(t->name, sizeof(t->name), ".%.*s" MARK "%d-%08x", FINAL_MAX, final, (int)getpid(),
             chance);
    if (mkdirat(t->parent_fd, t->name, 0700) < 0)
        return errno == EEXIST ? -ESTALE : -errno;
    int r = set_mode(t->parent_fd, t->name, 0700);
    if (r < 0)
        return r == -ENOENT ? -ESTALE : r;
    t->fd = openat(t->parent_fd, t->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (t->fd < 0)
        return errno == ENOENT ? -ESTALE : -errno;
    return take_lock(t);
}

static void drop_descriptors(struct temporary *t)
{
    cleanup_close(&t->lock_fd);
    cleanup_close(&t->fd);
    t->lock_fd = t->fd = -1;
}

static void undo_make(struct temporary *t)
{
    if (t->fd >= 0)
        unlinkat(t->fd, LOCK_NAME, 0);
    unlinkat(t->parent_fd, t->name, AT_REMOVEDIR);
}

int temporary_make(int parent_fd, const char *final, const char *where, struct temporary *ret,
                   struct crs_error *err)
{
    struct temporary t = {parent_fd, -1, -1, ""};
    int r = -ESTALE;

    for (int i = 0; i < TRIES && r == -ESTALE; i++) {
        r = try_make(&t, final);
        if (r < 0 && r != -ESTALE)
            undo_make(&t);
        if (r < 0)
            drop_descriptors(&t);
    }
    if (r < 0) {
        cleanup_close(&parent_fd);
        errno = -r;
        return crs_fail_errno(err, r == -EACCES || r == -EPERM ? CRS_NOT_PERMITTED : CRS_STORAGE,
                              "can't make a directory in %s", where);
    }
    *ret = t;
    return 0;
}

bool temporary_is_name(const char *name, char ret_final[NAME_MAX + 1])
{
    const char *mark = NULL;

    if (name[0] != '.')
        return false;
    for (const char *p = name + 1; (p = strstr(p, MARK)); p++)
        mark = p;
    if (!mark || mark == name + 1)
        return false;
    size_t digits = strspn(mark + strlen(MARK), "0123456789");
    const char *chance = mark + strlen(MARK) + digits + 1;
    if (digits == 0 || digits > 10 || chance[-1] != '-' ||
        strspn(chance, "0123456789abcdef") != RANDOM_CHARS || chance[RANDOM_CHARS] != 0)
        return false;
    if (ret_final)
        snprintf(ret_final, NAME_MAX + 1, "%.*s", (int)(mark - name - 1), name + 1);
    return true;
}

/* Unlink the files of a snapshot in the directory, the lock last: without it, what is left could
 * not be told from a directory just made. Anything else stays, and so will the directory. */
static void remove_files(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = copy < 0 ? NULL : fdopendir(copy);

    if (!dir) {
        cleanup_close(&copy);
        return;
    }
    for (struct dirent *d; (d = readdir(dir));) {
        if (layout_is_ours(d->d_name) && strcmp(d->d_name, LOCK_NAME) != 0)
            unlinkat(fd, d->d_name, 0);
    }
    unlinkat(fd, LOCK_NAME, 0);
}

void temporary_clear(struct temporary *t)
{
    int saved = errno;

    if (t->fd >= 0 && t->name[0]) {
        remove_files(t->fd);
        unlinkat(t->parent_fd, t->name, AT_REMOVEDIR);
    }
    drop_descriptors(t);
    cleanup_close(&t->parent_fd);
    t->parent_fd = -1;
    t->name[0] = 0;
    errno = saved;
}

static void clean_one(int parent_fd, const char *name)
{
    _cleanup_close_ int fd =
        openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    /* in a directory that all may write to, others' are none of our business, even for root */
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid())
        return;
    _cleanup_close_ int lock_fd =
        openat(fd, LOCK_NAME, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (lock_fd < 0) {
        /* Empty: its writer died before it took the lock, or is about to, and will try again. */
        if (errno == ENOENT)
            unlinkat(parent_fd, name, AT_REMOVEDIR);
        return;
    }
    if (flock(lock_fd, LOCK_EX | LOCK_NB) < 0)
        return;
    remove_files(fd);
    unlinkat(parent_fd, name, AT_REMOVEDIR);
}

void temporary_clean(int parent_fd)
{
    int copy = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = copy < 0 ? NULL : fdopendir(copy);

    if (!dir) {
        cleanup_close(&copy);
        return;
    }
    for (struct dirent *d; (d = readdir(dir));) {
        if (temporary_is_name(d->d_name, NULL))
            clean_one(parent_fd, d->d_name);
    }
}
