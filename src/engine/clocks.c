/* clocks.c - CLOCK_MONOTONIC and CLOCK_BOOTTIME go on from the saved instant */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "engine/clocks.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

/* The offset that makes `clock` stand at saved_ns in the new namespace: offsets count from the
 * initial namespace, ours may have one already. */
static int64_t offset_ns(const char *own_offsets, const char *name, clockid_t clock,
                         uint64_t saved_ns)
{
    long long seconds = 0, ns = 0;
    struct timespec now;
    const char *p = strstr(own_offsets, name);

    if (p)
        sscanf(p + strlen(name), "%lld %lld", &seconds, &ns);
    clock_gettime(clock, &now);
    return (int64_t)saved_ns - ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec) +
           (seconds * 1000000000 + ns);
}

static int write_offsets(const char *own, const Crs__Tree *tree)
{
    int64_t mono = offset_ns(own, "monotonic", CLOCK_MONOTONIC, tree->monotonic_ns);
    int64_t boot = offset_ns(own, "boottime", CLOCK_BOOTTIME, tree->boottime_ns);
    _cleanup_close_ int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    int64_t mono_ns = (mono % 1000000000 + 1000000000) % 1000000000;
    int64_t boot_ns = (boot % 1000000000 + 1000000000) % 1000000000;
    char text[128];

    if (fd < 0)
        return -errno;
    int n = snprintf(text, sizeof(text), "monotonic %lld %lld\nboottime %lld %lld\n",
                     (long long)(mono - mono_ns) / 1000000000, (long long)mono_ns,
                     (long long)(boot - boot_ns) / 1000000000, (long long)boot_ns);
    return write(fd, text, n) == n ? 0 : -errno;
}

int clocks_enter(const Crs__Tree *tree, int *ret_fd)
{
    _cleanup_close_ int old = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
    _cleanup_bytes_ struct bytes own = {0};

    if (old < 0 || read_file(AT_FDCWD, "/proc/self/timens_offsets", 4096, &own) < 0)
        return -EOPNOTSUPP;
    /* What can't be taken back isn't done: a caller with several threads can't leave. */
    if (ret_fd && setns(old, CLONE_NEWTIME) < 0)
        return -errno;
    if (unshare(CLONE_NEWTIME) < 0)
        return -errno;
    int r = tree ? write_offsets((char *)own.data, tree) : 0;
    if (r < 0) {
        clocks_leave(TAKE_FD(old));
        return r;
    }
    if (ret_fd)
        *ret_fd = TAKE_FD(old);
    return 0;
}

void clocks_leave(int fd)
{
    if (fd < 0)
        return;
    setns(fd, CLONE_NEWTIME);
    close(fd);
}
