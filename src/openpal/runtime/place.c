/* place.c - where processes listen for requests */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "openpal/runtime/place.h"

void place_close(struct place *place)
{
    cleanup_close(&place->fd);
    place->fd = -1;
}

/* ---- directories ---- */

static int candidate(unsigned number, uid_t uid, const char *tmp_dir,
                     const char *(*variable)(const char *, void *), void *arg, char path[PATH_MAX])
{
    const char *base = NULL;
    struct stat status;

    if (number == 0)
        base = tmp_dir;
    else if (number == 1)
        base = variable("XDG_RUNTIME_DIR", arg);
    else if (number == 3)
        base = variable("TMPDIR", arg);
    if (number == 3 && (!base || base[0] != '/'))
        base = "/tmp";
    if (number == 2 && snprintf(path, PATH_MAX, "/run/user/%u", uid) > 0 &&
        stat(path, &status) == 0)
        return snprintf(path, PATH_MAX, "/run/user/%u/opencrs", uid);
    if (!base || base[0] != '/')
        return -ENOENT;
    if (number == 1)
        return snprintf(path, PATH_MAX, "%s/opencrs", base) < PATH_MAX ? 0 : -ENAMETOOLONG;
    return snprintf(path, PATH_MAX, "%s/opencrs-%u", base, uid) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int open_checked(const char *path, uid_t uid, struct place *ret, struct crs_error *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;

    if (fd < 0)
        return crs_fail_errno(err, CRS_NOT_PERMITTED, "can't open the directory %s", path);
    if (fstat(fd, &status) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't look at %s", path);
    if (status.st_uid != uid)
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "the directory %s belongs to user %u, not to user %u: remove it, or set "
                        "XDG_RUNTIME_DIR to a directory of your own",
                        path, status.st_uid, uid);
    if (status.st_mode & 077)
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "the directory %s is open to others (mode %o): chmod 700 it", path,
                        status.st_mode & 07777);
    snprintf(ret->path, sizeof(ret->path), "%s", path);
    ret->fd = TAKE_FD(fd);
    return 0;
}

int place_open_at(const char *path, struct place *ret, struct crs_error *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return crs_fail_errno(err, CRS_NOT_PERMITTED, "can't make the directory %s", path);
    return open_checked(path, geteuid(), ret, err);
}

static const char *own_variable(const char *name, void *arg)
{
    return secure_getenv(name);
}

int place_open_own(const char *tmp_dir, struct place *ret, struct crs_error *err)
{
    char path[PATH_MAX];
    int r = -ENOENT;

    for (unsigned i = 0; i < PLACE_CANDIDATES; i++) {
        if (candidate(i, geteuid(), tmp_dir, own_variable, NULL, path) < 0)
            continue;
        r = place_open_at(path, ret, err);
        if (r == 0 || i == 0) /* what was asked for isn't replaced by something else */
            return r;
    }
    return r;
}

int place_open_of(unsigned number, uid_t uid, const char *tmp_dir,
                  const char *(*variable)(const char *, void *), void *arg, struct place *ret)
{
    char path[PATH_MAX];

    if (candidate(number, uid, tmp_dir, variable, arg, path) < 0)
        return -ENOENT;
    return open_checked(path, uid, ret, NULL) < 0 ? -ENOENT : 0;
}

/* ---- sockets ---- */

#define FIRST_NAMESPACE 0xEFFFFFFCu /* the kernel's PROC_PID_INIT_INO */

uint64_t place_namespace(pid_t pid)
{
    char path[64];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
    return stat(path, &st) == 0 && st.st_ino != FIRST_NAMESPACE ? st.st_ino : 0;
}

void place_name_in(char name[PLACE_NAME_SIZE], pid_t pid, uint64_t namespace, const char *kind)
{
    if (namespace)
        snprintf(name, PLACE_NAME_SIZE, "opal-%d-%llu.%s", pid, (unsigned long long)namespace,
                 kind);
    else
        snprintf(name, PLACE_NAME_SIZE, "opal-%d.%s", pid, kind);
}

void place_name(char name[PLACE_NAME_SIZE], pid_t pid, const char *kind)
{
    place_name_in(name, pid, place_namespace(getpid()), kind);
}

int place_address(const struct place *place, const char *name, struct sockaddr_un *ret,
                  struct crs_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", place->path, name);

    if (n < 0 || (size_t)n >= sizeof(address.sun_path))
        return crs_fail(err, CRS_FAILED, ENAMETOOLONG,
                        "%s is too long for the address of a socket: set XDG_RUNTIME_DIR to a "
                        "shorter path",
                        place->path);
    *ret = address;
    return 0;
}

int place_listen(const struct place *place, const char *name, int *ret_fd, struct crs_error *err)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;
    int r = place_address(place, name, &address, err);

    if (r < 0)
        return r;
    if (fd < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a socket");
    unlinkat(place->fd, name, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make the socket %s", address.sun_path);
    if (listen(fd, SOMAXCONN) < 0) {
        r = crs_fail_errno(err, CRS_FAILED, "can't listen at %s", address.sun_path);
        unlinkat(place->fd, name, 0);
        return r;
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* ---- marks ---- */

uint64_t place_start_time(pid_t pid)
{
    char path[64];
    _cleanup_bytes_ struct bytes text = {0};
    unsigned long long ticks = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (read_file(AT_FDCWD, path, 4096, &text) < 0)
        return 0;
    const char *rest = strrchr((const char *)text.data, ')');
    for (int i = 0; rest && i < 20; i++) /* the 22nd field; the name is the 2nd */
        rest = strchr(rest + 1, ' ');
    if (rest)
        sscanf(rest, " %llu", &ticks);
    return ticks;
}

/* At no time is there none where there was one. */
int place_mark_busy(const struct place *place, pid_t pid)
{
    char name[PLACE_NAME_SIZE], new[PLACE_NAME_SIZE];
    int r;

    place_name(name, pid, "busy");
    place_name(new, pid, "new");
    unlinkat(place->fd, new, 0);
    _cleanup_close_ int fd = openat(place->fd, new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    r = dprintf(fd, "%llu\n", (unsigned long long)place_start_time(pid)) < 0 ? -errno : 0;
    if (r == 0 && renameat(place->fd, new, place->fd, name) < 0)
        r = -errno;
    if (r < 0)
        unlinkat(place->fd, new, 0);
    return r;
}

void place_unmark_busy(const struct place *place, pid_t pid)
{
    char name[PLACE_NAME_SIZE];

    place_name(name, pid, "busy");
    unlinkat(place->fd, name, 0);
}

/* In another PID namespace the clock may be another one, too. */
bool place_is_busy(const struct place *place, pid_t pid, pid_t own_pid)
{
    char name[PLACE_NAME_SIZE];
    _cleanup_bytes_ struct bytes text = {0};
    uint64_t namespace = place_namespace(pid), started = place_start_time(pid);

    place_name_in(name, own_pid, namespace, "busy");
    if (read_file(place->fd, name, 64, &text) < 0 || !started)
        return false;
    return namespace != place_namespace(getpid()) ||
           strtoull((const char *)text.data, NULL, 10) == started;
}

/* ---- what the killed have left ---- */

/* One that has ended listens no more, even if its parent hasn't looked at it yet. */
static bool exists(pid_t pid)
{
    char path[64];
    _cleanup_bytes_ struct bytes text = {0};

    if (kill(pid, 0) < 0 && errno == ESRCH)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (read_file(AT_FDCWD, path, 4096, &text) < 0)
        return true;
    const char *rest = strrchr((const char *)text.data, ')');
    return !rest || strncmp(rest, ") Z", 3) != 0;
}

/* A process of another PID namespace may listen here too: its number says nothing to us. */
static bool somebody_listens(const struct place *place, const char *name)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;

    if (fd < 0 || place_address(place, name, &address, NULL) < 0)
        return true;
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno != ECONNREFUSED;
}

/* opal-PID.KIND or opal-PID-NAMESPACE.KIND */
static bool is_named(const char *name, const char *kind, pid_t *ret_pid, uint64_t *ret_namespace)
{
    unsigned long long namespace = 0;
    int end = 0;

    if (sscanf(name, "opal-%d-%llu.%n", ret_pid, &namespace, &end) != 2 || !end) {
        namespace = 0;
        if (sscanf(name, "opal-%d.%n", ret_pid, &end) != 1 || !end)
            return false;
    }
    *ret_namespace = namespace;
    return strcmp(name + end, kind) == 0;
}

/* What is of another namespace can't be told from here, but for a socket. */
static void clean_one(const struct place *place, const char *name)
{
    uint64_t namespace = 0, ours = place_namespace(getpid());
    int pid = 0, end = 0, number;
    unsigned long long id;

    if (is_named(name, "busy", &pid, &namespace) || is_named(name, "new", &pid, &namespace)) {
        if (namespace == ours && !exists(pid))
            unlinkat(place->fd, name, 0);
    } else if (sscanf(name, "opal-env-%llx-%d%n", &id, &pid, &end) == 2 && end && !name[end]) {
        if (pid == getpid() || !exists(pid)) /* a tool that became this program, and needed none */
            unlinkat(place->fd, name, 0);
    } else if (is_named(name, "sock", &pid, &namespace) ||
               (sscanf(name, "opal-checkpoint-%d-%d.sock%n", &pid, &number, &end) == 2 && end &&
                !name[end])) {
        if ((namespace != ours || !exists(pid)) && !somebody_listens(place, name))
            unlinkat(place->fd, name, 0);
    }
}

void place_clean(const struct place *place)
{
    int copy = fcntl(place->fd, F_DUPFD_CLOEXEC, 0);
    _cleanup_closedir_ DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;

    if (!dir) {
        cleanup_close(&copy);
        return;
    }
    rewinddir(dir);
    while ((entry = readdir(dir)))
        if (strncmp(entry->d_name, "opal-", 5) == 0)
            clean_one(place, entry->d_name);
}
