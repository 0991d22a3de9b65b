/* lazy_mark.c - by what those are known who bring a program's memory */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "engine/lazy_mark.h"

int lazy_mark_new(void)
{
    return memfd_create(LAZY_SERVER_NAME, MFD_CLOEXEC) < 0 ? -errno : 0;
}

static bool has_name(pid_t pid)
{
    _cleanup_bytes_ struct bytes comm = {0};
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    return read_file(AT_FDCWD, path, 256, &comm) == 0 && comm.size > 0 &&
           (strcmp((char *)comm.data, LAZY_SERVER_NAME "\n") == 0 ||
            strcmp((char *)comm.data, LAZY_GUARD_NAME "\n") == 0);
}

/* What has no descriptors at all any more is about to end. */
bool lazy_mark_is_at(pid_t pid)
{
    static const char mark[] = "/memfd:" LAZY_SERVER_NAME " (deleted)";
    char path[40], target[64];
    size_t n = 0;

    if (!has_name(pid))
        return false;
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    _cleanup_closedir_ DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        ssize_t size = readlinkat(dirfd(dir), e->d_name, target, sizeof(target));
        if (size == sizeof(mark) - 1 && memcmp(target, mark, size) == 0)
            return true;
        n += size > 0;
    }
    return n == 0;
}
