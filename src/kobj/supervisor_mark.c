/* supervisor_mark.c - by what the supervisor of a program's own namespaces is known */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "kobj/supervisor_mark.h"
#include "proc/status.h"

#define STATUS_LIMIT (1 << 20)
#define MARK_LIMIT   256
#define MARK_LINK    "/memfd:" SUPERVISOR_NAME " (deleted)"
#define MARK_WORDS   "OpenCRS supervisor of program %d\n"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

/* ---- the supervisor's ---- */

int supervisor_mark_new(int *ret_fd)
{
    _cleanup_close_ int fd = memfd_create(SUPERVISOR_NAME, MFD_CLOEXEC | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
        fd = memfd_create(SUPERVISOR_NAME, MFD_CLOEXEC);
    int r = fd < 0 ? -errno : supervisor_mark_set(fd, 0);
    if (r == 0)
        *ret_fd = TAKE_FD(fd);
    return r;
}

int supervisor_mark_set(int fd, pid_t program)
{
    char words[MARK_LIMIT];
    int n = snprintf(words, sizeof(words), MARK_WORDS, (int)program);
    int r = pwrite_full(fd, words, n, 0);

    return r == 0 && ftruncate(fd, n) < 0 ? -errno : r;
}

/* ---- the tool's ---- */

/* The program that descriptor NUMBER of the process names; -1: it is no mark; -EACCES: neither this
 * one nor any other of the process may be read. */
static pid_t read_mark(int fd_dir, const char *number)
{
    _cleanup_bytes_ struct bytes words = {0};
    char link[sizeof(MARK_LINK) + 1];
    int program = -1;

    ssize_t n = readlinkat(fd_dir, number, link, sizeof(link));
    if (n < 0 && errno == EACCES)
        return -EACCES;
    if (n != (ssize_t)strlen(MARK_LINK) || memcmp(link, MARK_LINK, n) != 0 ||
        read_file(fd_dir, number, MARK_LIMIT, &words) < 0 ||
        sscanf((const char *)words.data, MARK_WORDS, &program) != 1)
        return -1;
    return program;
}

static pid_t find_mark(int proc_fd)
{
    int fd = openat(proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    pid_t program = -1;

    if (!dir)
        return -1;
    for (struct dirent *e; program < 0 && program != -EACCES && (e = readdir(dir));)
        program = read_mark(fd, e->d_name);
    return program;
}

static int look_at(pid_t pid, struct proc_status *ret_status, int *ret_proc_fd)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d", pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || read_file(fd, "status", STATUS_LIMIT, &text) < 0 ||
        proc_status_parse((const char *)text.data, ret_status) < 0)
        return -ESRCH;
    *ret_proc_fd = TAKE_FD(fd);
    return 0;
}

/* Of PID 1 of a namespace. The name alone says nothing; but who has another one, and may have many
 * descriptors, has no mark. */
static int take_first(const struct proc_status *status, int *proc_fd, struct supervisor_found *ret)
{
    pid_t program = strcmp(status->name, SUPERVISOR_NAME) == 0 ? find_mark(*proc_fd) : -1;

    if (program < 0)
        return -ESRCH;
    *ret = (struct supervisor_found){status->tgid, TAKE_FD(*proc_fd), program};
    return 0;
}

int supervisor_at(pid_t pid, struct supervisor_found *ret)
{
    _cleanup_proc_status_ struct proc_status status = {0};
    _cleanup_close_ int proc_fd = -1;

    if (look_at(pid, &status, &proc_fd) < 0 || status.inner_tgid != 1)
        return -ESRCH;
    return take_first(&status, &proc_fd, ret);
}

int supervisor_above(pid_t pid, struct supervisor_found *ret)
{
    while (pid > 0) {
        _cleanup_proc_status_ struct proc_status status = {0};
        _cleanup_close_ int proc_fd = -1;
        if (look_at(pid, &status, &proc_fd) < 0)
            break;
        if (status.inner_tgid == 1)
            return take_first(&status, &proc_fd, ret);
        pid = status.parent;
    }
    return -ESRCH;
}
