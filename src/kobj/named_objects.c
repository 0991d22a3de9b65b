/*
 * named_objects.c - shared mappings of files that have a name, saved with their content
 *
 * POSIX shared memory (/dev/shm) is memory: it gets the content that goes with the saved state of
 * the program, unless somebody else uses it. Other files that don't outlive the machine's next
 * start (on a tmpfs, below /tmp) are files: one that is there stays as it is, one that is missing
 * is made again.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/file.h"

#define SHM_DIRECTORY       "/dev/shm/"
#define TEMPORARY_DIRECTORY "/tmp/"

static bool is_below(const char *path, const char *directory)
{
    return strncmp(path, directory, strlen(directory)) == 0;
}

bool kobj_object_is_named(const char *path, bool writable, Crs__ObjectKind *ret_kind)
{
    struct statfs fs;

    bool known = statfs(path, &fs) == 0;

    if (is_below(path, SHM_DIRECTORY) || (known && fs.f_type == HUGETLBFS_MAGIC))
        *ret_kind = CRS__OBJECT_KIND__OBJECT_POSIX_SHM;
    else if (writable &&
             (is_below(path, TEMPORARY_DIRECTORY) || (known && fs.f_type == TMPFS_MAGIC)))
        *ret_kind = CRS__OBJECT_KIND__OBJECT_TEMPORARY_FILE;
    else
        return false;
    return true;
}

/* ---- restart ---- */

/* Who may only read it has it mapped for reading only. */
static int open_path(const char *path)
{
    const int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = open(path, O_RDWR | flags);

    return fd < 0 && errno == EACCES ? open(path, O_RDONLY | flags) : fd;
}

static int check_there(const Crs__MemoryObject *record, int fd, struct crs_error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return crs_fail(err, CRS_CANT_RESTART, EINVAL,
                        "%s, which the program has mapped, isn't a regular file here",
                        record->name);
    if (record->kind == CRS__OBJECT_KIND__OBJECT_TEMPORARY_FILE &&
        (uint64_t)st.st_size < record->size)
        return crs_fail(err, CRS_CANT_RESTART, ESTALE,
                        "%s, which the program has mapped, has %llu bytes now and had %llu; remove "
                        "it, and it is made again",
                        record->name, (unsigned long long)st.st_size,
                        (unsigned long long)record->size);
    return 0;
}

int kobj_object_check(struct kobj_restore *ctx, const Crs__MemoryObject *record,
                      struct crs_error *err)
{
    if (record->kind == CRS__OBJECT_KIND__OBJECT_SYSV_SHM)
        return sysv_check(ctx, record, err);
    if (record->kind != CRS__OBJECT_KIND__OBJECT_POSIX_SHM &&
        record->kind != CRS__OBJECT_KIND__OBJECT_TEMPORARY_FILE)
        return 0;
    if (record->name[0] != '/' || record->size > INT64_MAX)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "the snapshot has shared memory without a path or a size");
    _cleanup_close_ int fd = open_path(record->name);
    if (fd >= 0)
        return check_there(record, fd, err);
    if (errno == ENOENT)
        return 0;
    return crs_fail_errno(err, CRS_CANT_RESTART, "can't open %s, which the program has mapped",
                          record->name);
}

/* The directories above it. Those of temporary files vanish with them. */
static void make_directories(const char *path)
{
    _cleanup_free_ char *copy = strdup(path);

    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(copy, 0700) < 0 && errno != EEXIST)
            return; /* making the file tells why */
        *slash = '/';
    }
}

static int make_path(const char *path)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
    int fd = open(path, flags, 0600);

    if (fd >= 0 || errno != ENOENT)
        return fd;
    make_directories(path);
    return open(path, flags, 0600);
}

/* Then, and only then, the kernel gives a lease for writing. It is given back at once; who opens
 * the file in between causes a signal, which must not be SIGIO. */
bool file_is_unused(int fd)
{
    if (fcntl(fd, F_SETSIG, SIGURG) < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
        return false;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return true;
}

int object_open_named(struct kobj_restore *ctx, const Crs__MemoryObject *record, int *ret_fd,
                      bool *ret_fill, struct crs_error *err)
{
    _cleanup_close_ int fd = open_path(record->name);
    bool there = fd >= 0;
    int r = 0;

    if (!there && errno == ENOENT)
        fd = make_path(record->name);
    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't make %s, which the program had mapped",
                              record->name);
    *ret_fill = !there;
    if (there)
        r = check_there(record, fd, err);
    if (r == 0 && there && record->kind == CRS__OBJECT_KIND__OBJECT_POSIX_SHM) {
        *ret_fill = file_is_unused(fd);
        if (!*ret_fill)
            kobj_warn(ctx->progress, ctx->progress_arg,
                      "the shared memory %s is in use by another program and stays as it is now",
                      record->name);
        else if (ftruncate(fd, 0) < 0)
            r = crs_fail_errno(err, CRS_CANT_RESTART, "can't put back the content of %s",
                               record->name);
    }
    if (r == 0)
        *ret_fd = TAKE_FD(fd);
    return r;
}
