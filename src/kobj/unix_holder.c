/* unix_holder.c - which process holds a unix socket */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "kobj/unix_socket.h"

static bool holds(const char *pid, const char *link)
{
    _cleanup_free_ char *path = format_string("/proc/%s/fd", pid);
    _cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;

    if (!dir)
        return false;
    for (struct dirent *e; (e = readdir(dir));) {
        _cleanup_free_ char *target = NULL;
        if (e->d_name[0] != '.' && read_link(dirfd(dir), e->d_name, &target) == 0 &&
            strcmp(target, link) == 0)
            return true;
    }
    return false;
}

pid_t unix_holder(uint64_t inode)
{
    _cleanup_closedir_ DIR *proc = opendir("/proc");
    char link[64];

    snprintf(link, sizeof(link), "socket:[%llu]", (unsigned long long)inode);
    for (struct dirent *e; proc && inode && (e = readdir(proc));) {
        pid_t pid = atoi(e->d_name);
        if (pid > 0 && pid != getpid() && holds(e->d_name, link))
            return pid;
    }
    return 0;
}

const char *unix_holder_words(uint64_t inode, char *text, size_t size)
{
    _cleanup_bytes_ struct bytes comm = {0};
    pid_t pid = unix_holder(inode);
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    if (pid == 0)
        snprintf(text, size, "another program");
    else if (read_file(AT_FDCWD, path, 256, &comm) < 0)
        snprintf(text, size, "process %d", pid);
    else
        snprintf(text, size, "process %d (%.*s)", pid, (int)strcspn((char *)comm.data, "\n"),
                 (char *)comm.data);
    return text;
}
