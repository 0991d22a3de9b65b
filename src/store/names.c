/* names.c - where the store is, and which directory a name means */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/io.h"
#include "store/job.h"
#include "store/layout.h"
#include "store/store.h"
#include "store/temporary.h"

static int no_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

int store_root(const char *store, char **ret, struct crs_error *err)
{
    const char *own = getenv("CRS_STORE"), *state = getenv("XDG_STATE_HOME"),
               *home = getenv("HOME");
    char *path;

    if (store && *store)
        path = strdup(store);
    else if (own && *own)
        path = strdup(own);
    else if (state && *state == '/') /* a relative one is to be ignored, by its specification */
        path = format_string("%s/crs", state);
    else if (home && *home == '/')
        path = format_string("%s/.local/state/crs", home);
    else
        return crs_fail(err, CRS_USAGE, ENOENT,
                        "there is no place for snapshots: set CRS_STORE or HOME, or say which "
                        "directory to use");
    if (!path)
        return no_memory(err);
    *ret = path;
    return 0;
}

int store_check_name(const char *name, struct crs_error *err)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+");

    if (*name == 0 || *name == '.' || *name == '-' || name[n] != 0 || n > LIMIT_JOB_NAME)
        return crs_fail(err, CRS_USAGE, EINVAL,
                        "'%.*s' can't be the name of a job: letters, digits and . _ - + only, at "
                        "most %u, and not . or - first",
                        (int)LIMIT_JOB_NAME, name, LIMIT_JOB_NAME);
    return 0;
}

int store_make_directories(const char *path, struct crs_error *err)
{
    _cleanup_free_ char *copy = strdup(path);
    char *p = copy;

    if (!copy)
        return no_memory(err);
    while (*p) {
        p += strspn(p, "/");
        p += strcspn(p, "/");
        char end = *p;
        *p = 0;
        int errnum = mkdir(copy, 0700) == 0 ? 0 : errno;
        if (errnum == 0) {
            /* a umask may have taken what its owner needs */
            if (chmod(copy, 0700) < 0)
                return crs_fail_errno(err, CRS_STORAGE, "can't make %s private", copy);
        } else if (errnum != EEXIST && access(copy, F_OK) < 0) {
            return crs_fail(err, errnum == EACCES ? CRS_NOT_PERMITTED : CRS_STORAGE, errnum,
                            "can't make the directory %s: %s", copy, strerror(errnum));
        }
        *p = end;
    }
    return 0;
}

/* The highest number in use in the job's directory, unfinished ones counted. */
static int highest_seq(int fd, const char *path, unsigned *ret, struct crs_error *err)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    char final[NAME_MAX + 1];
    unsigned highest = 0;

    if (!dir) {
        cleanup_close(&copy);
        return crs_fail_errno(err, CRS_STORAGE, "can't read %s", path);
    }
    for (struct dirent *d; (d = readdir(dir));) {
        unsigned seq = job_parse_seq(temporary_is_name(d->d_name, final) ? final : d->d_name);
        if (seq > highest)
            highest = seq;
    }
    *ret = highest;
    return 0;
}

int store_next_path(const char *store, const char *name, char **ret_path, unsigned *ret_seq,
                    struct crs_error *err)
{
    _cleanup_free_ char *root = NULL, *job = NULL;
    unsigned highest = 0;

    int r = store_check_name(name, err);
    if (r == 0)
        r = store_root(store, &root, err);
    if (r < 0)
        return r;
    job = format_string("%s/%s", root, name);
    if (!job)
        return no_memory(err);
    r = store_make_directories(job, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = open(job, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return crs_fail_errno(err, errno == EACCES ? CRS_NOT_PERMITTED : CRS_STORAGE,
                              "can't open %s", job);
    temporary_clean(fd);
    r = highest_seq(fd, job, &highest, err);
    if (r < 0)
        return r;
    if (highest >= LIMIT_SEQ)
        return crs_fail(err, CRS_STORAGE, EOVERFLOW, "%s has no numbers left", job);
    char *path = format_string("%s/%u", job, highest + 1);
    if (!path)
        return no_memory(err);
    *ret_path = path;
    *ret_seq = highest + 1;
    return 0;
}

void store_drop_path(const char *path)
{
    _cleanup_free_ char *job = strdup(path);
    char *slash = job ? strrchr(job, '/') : NULL;

    if (!slash)
        return;
    *slash = 0;
    _cleanup_close_ int fd = open(job, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    /* Whoever starts a job holds the lock until the directory has the job's file. */
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        rmdir(job);
}
