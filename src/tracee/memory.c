/* memory.c - the memory of a held process, and its descriptors */
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/io.h"
#include "tracee/tracee.h"

/* A leader that has exited has no memory and no descriptors any more. */
static pid_t a_task(struct tracee *t)
{
    return t->n_threads > 0 ? tracee_main(t)->tid : t->pid;
}

int tracee_read(struct tracee *t, uint64_t address, void *data, size_t size, struct crs_error *err)
{
    struct iovec local = {data, size}, remote = {(void *)address, size};

    if (size <= 0x7ffff000 &&
        process_vm_readv(a_task(t), &local, 1, &remote, 1, 0) == (ssize_t)size)
        return 0;
    /* Pages without read permission can be read here only. */
    int r = pread_full(t->mem_fd, data, size, address);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, EFAULT,
                        "can't read %zu bytes of memory at %#lx of process %d", size, address,
                        t->pid);
    return 0;
}

int tracee_write(struct tracee *t, uint64_t address, const void *data, size_t size,
                 struct crs_error *err)
{
    struct iovec local = {(void *)data, size}, remote = {(void *)address, size};

    if (size <= 0x7ffff000 &&
        process_vm_writev(a_task(t), &local, 1, &remote, 1, 0) == (ssize_t)size)
        return 0;
    int r = pwrite_full(t->mem_fd, data, size, address);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, EFAULT,
                        "can't write %zu bytes of memory at %#lx of process %d", size, address,
                        t->pid);
    return 0;
}

/* By one call, if the kernel does all of it. */
static bool move_parts(struct tracee *t, const struct tracee_part *parts, size_t n,
                       ssize_t (*move)(pid_t, const struct iovec *, unsigned long,
                                       const struct iovec *, unsigned long, unsigned long))
{
    struct iovec local[TRACEE_PARTS_MAX], remote[TRACEE_PARTS_MAX];
    size_t size = 0;

    for (size_t i = 0; i < n; i++) {
        local[i] = (struct iovec){parts[i].data, parts[i].size};
        remote[i] = (struct iovec){(void *)parts[i].address, parts[i].size};
        size += parts[i].size;
    }
    return move(a_task(t), local, n, remote, n, 0) == (ssize_t)size;
}

int tracee_write_parts(struct tracee *t, const struct tracee_part *parts, size_t n,
                       struct crs_error *err)
{
    int r = 0;

    if (move_parts(t, parts, n, process_vm_writev))
        return 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = tracee_write(t, parts[i].address, parts[i].data, parts[i].size, err);
    return r;
}

int tracee_read_parts(struct tracee *t, const struct tracee_part *parts, size_t n,
                      struct crs_error *err)
{
    int r = 0;

    if (move_parts(t, parts, n, process_vm_readv))
        return 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = tracee_read(t, parts[i].address, parts[i].data, parts[i].size, err);
    return r;
}

int tracee_get_fd(struct tracee *t, int fd, int *ret_fd, struct crs_error *err)
{
    bool exited = t->n_threads > 0 && t->threads[0].exited;
    int r = syscall(SYS_pidfd_getfd, exited ? t->task_pidfd : t->pidfd, fd, 0);

    if (r < 0 && exited && t->task_pidfd < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "the first thread of process %d has exited while others live, and this "
                        "kernel shows the descriptors of such a process to nobody: Linux 6.9 does",
                        t->pid);
    if (r < 0)
        return crs_fail_errno(err, CRS_NOT_PERMITTED, "can't take descriptor %d of process %d", fd,
                              t->pid);
    *ret_fd = r;
    return 0;
}
