/* pipe_holder.c - who holds the other end of a pipe */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/pipe.h"

static bool has_mode(int proc, const char *number, bool writing)
{
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_fdinfo_ struct fdinfo info = {0};
    char path[300];

    snprintf(path, sizeof(path), "fdinfo/%s", number);
    if (read_file(proc, path, 1 << 20, &text) < 0 ||
        fdinfo_parse((const char *)text.data, &info) < 0)
        return false;
    unsigned mode = info.flags & O_ACCMODE;
    return mode == O_RDWR || mode == (writing ? O_WRONLY : O_RDONLY);
}

static bool holds(const char *pid, const struct stat *wanted, bool writing)
{
    _cleanup_free_ char *path = format_string("/proc/%s", pid);
    _cleanup_close_ int proc = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int fd = proc < 0 ? -1 : openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct stat st;

    if (!dir) {
        cleanup_close(&fd);
        return false;
    }
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.' && fstatat(fd, e->d_name, &st, 0) == 0 &&
            st.st_dev == wanted->st_dev && st.st_ino == wanted->st_ino &&
            has_mode(proc, e->d_name, writing))
            return true;
    return false;
}

pid_t pipe_find_holder(const struct kobj_dump *ctx, const struct stat *st, bool writing)
{
    _cleanup_closedir_ DIR *proc = opendir("/proc");

    if (!proc)
        return 0;
    for (struct dirent *e; (e = readdir(proc));) {
        pid_t pid = atoi(e->d_name);
        if (pid > 0 && pid != getpid() && pid != ctx->tool && !kobj_find_member(ctx, pid) &&
            holds(e->d_name, st, writing))
            return pid;
    }
    return 0;
}

bool pipe_ends_with_tool(const struct kobj_dump *ctx, const struct stat *st, bool writing)
{
    _cleanup_free_ char *pid = ctx->tool ? format_string("%d", (int)ctx->tool) : NULL;

    return pid && holds(pid, st, writing) && !pipe_find_holder(ctx, st, writing);
}

int pipe_refuse_outside(const struct kobj_dump *ctx, const struct open_file *file, bool writing,
                        struct crs_error *err)
{
    pid_t pid = pipe_find_holder(ctx, &file->st, writing);
    char reason[160], who[64] = "another program";

    if (pid > 0)
        snprintf(who, sizeof(who), "process %d", (int)pid);
    snprintf(reason, sizeof(reason), "its %s end is held by %s, which isn't part of the checkpoint",
             writing ? "writing" : "reading", who);
    return file_refuse(file, err, reason,
                       "close it, or end that process, before the checkpoint, or let "
                       "something be given for it at the restart (--pipes=give)");
}
