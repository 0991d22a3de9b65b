/*
 * aio_settle.c - let requests of asynchronous I/O end
 *
 * A frozen program makes no new ones. When each block device has had nothing to do for a moment,
 * what the program had asked of it has ended.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/aio.h"
#include "kobj/file.h"

#define SETTLE_US     (200 * 1000)
#define REST_US       200
#define LAST_STEPS_US 1000 /* from the device's end to the event: work that the kernel queues */

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
    usleep(LAST_STEPS_US);
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
