/* stream_end.c - who reads what a checkpoint writes */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "engine/stream_end.h"

/* The bits of the link say what the descriptor is open for. */
static bool reads(pid_t pid, const struct stat *pipe)
{
    char path[40];
    struct stat st, link;

    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    _cleanup_closedir_ DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir));)
        if (fstatat(dirfd(dir), d->d_name, &st, 0) == 0 && st.st_ino == pipe->st_ino &&
            st.st_dev == pipe->st_dev &&
            fstatat(dirfd(dir), d->d_name, &link, AT_SYMLINK_NOFOLLOW) == 0 &&
            link.st_mode & S_IRUSR)
            return true;
    return false;
}

int stream_end_check(int stream_fd, const struct tree_founds *founds, struct crs_error *err)
{
    struct stat pipe;

    if (fstat(stream_fd, &pipe) < 0 || !S_ISFIFO(pipe.st_mode))
        return 0;
    for (size_t i = 0; i < founds->array.n; i++)
        if (reads(founds->array.items[i].pid, &pipe))
            return crs_fail(err, CRS_CANT_CHECKPOINT, EDEADLK,
                            "process %d, which is to be saved, reads the pipe that the snapshot "
                            "goes to, and can't while it stands still: let a process outside read "
                            "it, or write to a file",
                            founds->array.items[i].pid);
    return 0;
}
