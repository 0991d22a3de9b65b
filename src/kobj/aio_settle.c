/*
 * aio_settle.c - let requests of asynchronous I/O end
 *
 * A frozen program makes no new ones. When each block device has nothing to do, what the program
 * had asked of it has ended, but for the last steps, from the device to the event. Those are work
 * for the kernel's workers (threads of its own), and on a busy machine they wait for a processor as
 * others do. A worker that has something to do isn't idle; so when all are, the events are in the
 * ring.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/aio.h"
#include "kobj/file.h"
#include "proc/children.h"
#include "proc/stat.h"

#define SETTLE_US        (200 * 1000)
#define REST_US          200
#define INTERRUPT_US     1000     /* from the device's end until a worker is told */
#define LAST_STEPS_US    50000    /* where the workers can't be seen */
#define KERNEL_PF_WORKER 0x20     /* in the flags of /proc/PID/stat: a worker, */
#define KERNEL_PF_THREAD 0x200000 /* a thread of the kernel */
#define KTHREADD         2        /* the parent of all threads of the kernel */

/* The numbers of reads and writes that the device has in hand. */
static bool is_idle(int devices_fd, const char *device)
{
    _cleanup_bytes_ struct bytes text = {0};
    unsigned long long reads, writes;
    char path[300];

    snprintf(path, sizeof(path), "%s/inflight", device);
    if (read_file(devices_fd, path, 256, &text) < 0)
        return true; /* it's gone, or has no queue */
    return sscanf((const char *)text.data, "%llu %llu", &reads, &writes) != 2 ||
           reads + writes == 0;
}

static bool read_stat(pid_t pid, struct proc_stat *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    return read_file(AT_FDCWD, path, 4096, &text) == 0 &&
           proc_stat_parse((const char *)text.data, ret) == 0;
}

static bool is_busy_worker(pid_t pid)
{
    struct proc_stat stat;

    return read_stat(pid, &stat) && stat.flags & KERNEL_PF_WORKER && stat.state != 'I';
}

/* -ENOENT: they can't be seen, as in a PID namespace of one's own. */
static int are_workers_idle(bool *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_free_ pid_t *threads = NULL;
    struct proc_stat stat;
    size_t n = 0;
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", KTHREADD, KTHREADD);
    if (!read_stat(KTHREADD, &stat) || !(stat.flags & KERNEL_PF_THREAD) ||
        read_file(AT_FDCWD, path, 1 << 24, &text) < 0 ||
        proc_children_parse((const char *)text.data, &threads, &n) < 0 || n == 0)
        return -ENOENT;
    *ret = true;
    for (size_t i = 0; i < n && *ret; i++)
        *ret = !is_busy_worker(threads[i]);
    return 0;
}

/* One that is busy all the time has other work. */
static void wait_for_workers(void)
{
    uint64_t until = now_us() + SETTLE_US;
    bool idle = false;

    usleep(INTERRUPT_US);
    while (now_us() < until && !idle) {
        if (are_workers_idle(&idle) < 0) {
            usleep(LAST_STEPS_US);
            return;
        }
        if (!idle)
            usleep(REST_US);
    }
}

static int wait_for_devices(const struct tracee *t, struct crs_error *err)
{
    _cleanup_closedir_ DIR *dir = opendir("/sys/block");
    uint64_t until = now_us() + SETTLE_US;

    if (!dir) {
        usleep(SETTLE_US);
        return 0;
    }
    for (struct dirent *e; (e = readdir(dir));)
        for (; e->d_name[0] != '.' && !is_idle(dirfd(dir), e->d_name); usleep(REST_US)) {
            if (now_us() > until)
                return crs_fail(
                    err, CRS_CANT_CHECKPOINT, EAGAIN,
                    "process %d uses asynchronous I/O, and %s was busy all the time, so "
                    "it can't be told whether requests are in flight; try again when "
                    "it's less busy",
                    t->pid, e->d_name);
        }
    wait_for_workers();
    return 0;
}

int aio_settle(struct kobj_dump *ctx, bool *ret_found, struct crs_error *err)
{
    bool used = aio_is_used();
    int r = 0;

    for (size_t i = 0; used && r == 0 && i < ctx->members.n; i++) {
        _cleanup_proc_maps_ struct proc_maps rings = {0};
        struct tracee *t = ctx->members.items[i].t;
        r = aio_rings(t, &rings, err);
        if (r < 0 || rings.n == 0)
            continue;
        *ret_found = true;
        return wait_for_devices(t, err);
    }
    return r;
}
