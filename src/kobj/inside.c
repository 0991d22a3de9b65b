/* inside.c - ask something from inside a namespace that the program has for its own */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/passing.h"
#include "kobj/inside.h"

struct answer {
    int r;
    struct crs_error error;
    _Alignas(8) uint8_t data[INSIDE_ROOM];
};

/* The namespace and the user namespace of the process; *ret_user -1: it is ours. */
static int open_namespaces(const struct tracee *t, const char *name, int *ret_user, int *ret_fd)
{
    struct stat own, other;
    char path[40];

    snprintf(path, sizeof(path), "ns/%s", name);
    *ret_fd = openat(t->proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (*ret_fd < 0)
        return -errno;
    if (stat("/proc/self/ns/user", &own) < 0 || fstatat(t->proc_fd, "ns/user", &other, 0) < 0)
        return -errno;
    if (own.st_ino == other.st_ino)
        return 0;
    *ret_user = openat(t->proc_fd, "ns/user", O_RDONLY | O_CLOEXEC);
    return *ret_user < 0 ? -errno : 0;
}

static int enter(int user, int fd)
{
    return (user >= 0 && setns(user, CLONE_NEWUSER) < 0) || setns(fd, 0) < 0 ? -errno : 0;
}

static int fail_to_enter(const struct tracee *t, const char *name, int r, struct crs_error *err)
{
    return crs_fail(err, CRS_NOT_PERMITTED, -r,
                    "process %d has a namespace of its own (%s), which can't be entered to look at "
                    "its objects: %s; ask as the user who started it",
                    t->pid, name, strerror(-r));
}

int kobj_inside(const struct tracee *t, const char *name,
                int (*ask)(void *data, int *ret_fd, struct crs_error *err), void *data, size_t size,
                int *ret_fd, struct crs_error *err)
{
    _cleanup_close_ int user = -1, namespace = -1;
    struct answer answer = {0};
    int pair[2], given = -1;
    int r = open_namespaces(t, name, &user, &namespace);

    if (r < 0)
        return fail_to_enter(t, name, r, err);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a socket pair");
    _cleanup_close_ int ours = pair[0], theirs = pair[1];
    memcpy(answer.data, data, size);
    pid_t pid = fork();
    if (pid < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't fork");
    if (pid == 0) {
        r = enter(user, namespace);
        answer.r = r < 0 ? fail_to_enter(t, name, r, &answer.error)
                         : ask(answer.data, &given, &answer.error);
        _exit(pass_record(ours, &answer, sizeof(answer), given) < 0);
    }
    close(TAKE_FD(ours));
    r = take_record(theirs, &answer, sizeof(answer), 0, ret_fd);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "a helper process ended unexpectedly");
    if (answer.r < 0 && err)
        *err = answer.error;
    memcpy(data, answer.data, size);
    return answer.r;
}
