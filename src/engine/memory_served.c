/* memory_served.c - memory whose faults another process sees to, which we know */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "memory_image.h"

#define NAP_US 20000

/* Who has one of its own, or whose whole table of descriptors can't be read, serves itself. */
static bool may_serve_itself(int proc_fd, pid_t tid)
{
    static const char own[] = "anon_inode:[userfaultfd]";
    char path[40], target[64];

    snprintf(path, sizeof(path), "task/%d/fd", tid);
    int fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return true;
    for (struct dirent *e; (e = readdir(dir));) {
        ssize_t n = readlinkat(fd, e->d_name, target, sizeof(target) - 1);
        if (n == sizeof(own) - 1 && memcmp(target, own, n) == 0)
            return true;
    }
    return false;
}

enum memory_served memory_served(int proc_fd, pid_t tid, uint32_t vm_flags)
{
    uint32_t by = vm_flags & (PROC_VM_UFFD_MISSING | PROC_VM_UFFD_WP | PROC_VM_UFFD_MINOR);

    if ((by != PROC_VM_UFFD_WP && by != PROC_VM_UFFD_MISSING) || may_serve_itself(proc_fd, tid))
        return MEMORY_NOT_SERVED;
    return by == PROC_VM_UFFD_WP ? MEMORY_TRACKED : MEMORY_FILLED;
}

static bool awaits_pages(struct memory_set *set, pid_t pid)
{
    struct memory_image *image;
    char path[40];

    if (memory_image_get(set, pid, &image, NULL) < 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d", pid);
    for (size_t i = 0; i < image->smaps.n; i++) {
        if (!(image->smaps.items[i].flags & PROC_VM_UFFD_MISSING))
            continue;
        _cleanup_close_ int proc_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return proc_fd >= 0 &&
               memory_served(proc_fd, pid, image->smaps.items[i].flags) == MEMORY_FILLED;
    }
    return false;
}

int memory_prepare_whole(struct memory_set *set, struct kobj_dump *ctx, pid_t pid,
                         int (*may_wait)(const void *arg, struct crs_error *err), const void *arg,
                         struct crs_error *err)
{
    bool waited = false;
    int r = memory_prepare(set, pid, NULL);

    for (; r == 0 && awaits_pages(set, pid); waited = true) {
        if (!waited)
            kobj_warn(ctx->progress, ctx->progress_arg,
                      "the memory of process %d is still being brought from its snapshot (crs "
                      "restart --lazy): waiting until it is there",
                      pid);
        usleep(NAP_US);
        r = may_wait(arg, err);
        if (r < 0)
            return r;
        r = memory_prepare(set, pid, NULL);
    }
    return r == -ENOMEM ? crs_fail(err, CRS_FAILED, ENOMEM, "out of memory") : waited;
}
