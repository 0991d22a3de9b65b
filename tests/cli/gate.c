/*
 * gate.c - preloaded into crs, it lets a test choose how far reading and writing of packs has come
 *
 * $GATE is the path of a file; beside it lie
 *     GATE.writes    while it is there, who writes a pack waits; then there is GATE.reached
 *     GATE.reads     a number: so many reads of crs-fill may pass; all when it isn't there
 *     GATE.log       a line for each read that crs-fill has come to
 *     GATE.fails     when it is there, reads of crs-fill fail (EIO)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long n_reads;

static void path_of(const char *name, char *path, size_t size)
{
    const char *gate = getenv("GATE");

    snprintf(path, size, "%s.%s", gate ? gate : "", name);
}

static bool is_there(const char *name)
{
    char path[4096];

    path_of(name, path, sizeof(path));
    return access(path, F_OK) == 0;
}

static void add_line(const char *name, const char *line)
{
    char path[4096];

    path_of(name, path, sizeof(path));
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, strlen(line)) < 0)
        _exit(99);
    close(fd);
}

static bool may_pass(long number)
{
    char path[4096], text[32] = "";

    path_of("reads", path, sizeof(path));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    long n = syscall(SYS_read, fd, text, sizeof(text) - 1);
    close(fd);
    return n > 0 && number < atol(text);
}

/* Of the process, whatever its threads are called. */
static bool fills(void)
{
    char path[64], name[32] = "";

    snprintf(path, sizeof(path), "/proc/%d/comm", getpid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    long n = syscall(SYS_read, fd, name, sizeof(name) - 1);
    close(fd);
    return n > 0 && strcmp(name, "crs-fill\n") == 0;
}

ssize_t pread64(int fd, void *data, size_t size, off_t at)
{
    char line[64];

    if (fills()) {
        long number = atomic_fetch_add(&n_reads, 1);
        snprintf(line, sizeof(line), "%zu at %ld\n", size, (long)at);
        add_line("log", line);
        while (!may_pass(number))
            usleep(1000);
        if (is_there("fails")) {
            errno = EIO;
            return -1;
        }
    }
    return syscall(SYS_pread64, fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;

    if (is_there("writes") && !atomic_flag_test_and_set(&told))
        add_line("reached", "");
    while (is_there("writes"))
        usleep(1000);
    return syscall(SYS_pwrite64, fd, data, size, at);
}

/* One thread brings what nobody has touched: then its order is the order of the reads. */
long sysconf(int name)
{
    static long (*real)(int);
    extern void *dlsym(void *, const char *);

    if (name == _SC_NPROCESSORS_ONLN)
        return 1;
    if (!real)
        real = (long (*)(int))dlsym((void *)-1L, "sysconf"); /* RTLD_NEXT */
    return real(name);
}
