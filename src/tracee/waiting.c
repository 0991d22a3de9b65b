/* waiting.c - how long a thread has waited in its system call */
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "tracee/task.h"

/* se.exec_start of a /proc/.../sched file, in ns: when the thread last ran, on its CPU's clock. */
static int read_exec_start(int dirfd, const char *path, uint64_t *ret_ns)
{
    _cleanup_bytes_ struct bytes text = {0};
    int r = read_file(dirfd, path, 1 << 20, &text);

    if (r < 0)
        return r;
    char *p = strstr((char *)text.data, "se.exec_start");
    p = p ? strchr(p, ':') : NULL;
    if (!p)
        return -ENODATA;
    *ret_ns = (uint64_t)(strtod(p + 1, NULL) * 1e6);
    return 0;
}

/* How often a thread has been given a CPU: the third number of its schedstat. */
static int read_runs(int proc_fd, pid_t tid, uint64_t *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    int r = task_read(proc_fd, tid, "schedstat", &text);

    if (r < 0)
        return r;
    return sscanf((char *)text.data, "%*u %*u %lu", ret) == 1 ? 0 : -ENODATA;
}

/*
 * The kernel does not tell what is left of a timeout, but when a thread last ran. The clocks of
 * two CPUs may differ by 100 ms and more, so our own time is read on the thread's CPU.
 */
void task_measure_waiting(int proc_fd, pid_t tid, struct arch_waiting *ret, bool *ret_fragile)
{
    _cleanup_bytes_ struct bytes call = {0}, wchan = {0};
    char path[64], state;
    unsigned long flags = 0;
    uint64_t then, now;
    cpu_set_t saved, one;
    int cpu = -1;

    *ret = (struct arch_waiting){0};
    *ret_fragile = true; /* running: it may be in such a call by the time it is stopped */
    if (task_read(proc_fd, tid, "syscall", &call) < 0 || call.data[0] < '0' || call.data[0] > '9')
        return;
    long number = strtol((char *)call.data, NULL, 10);
    *ret_fragile = arch_call_gives_up(number);
    if (!arch_call_has_timeout(number))
        return;
    if (task_read(proc_fd, tid, "wchan", &wchan) == 0)
        snprintf(ret->wchan, sizeof(ret->wchan), "%.*s", (int)sizeof(ret->wchan) - 1,
                 (char *)wchan.data);
    if (task_stat(proc_fd, tid, &state, &flags, &cpu) < 0 || cpu < 0 || cpu >= CPU_SETSIZE ||
        sched_getaffinity(0, sizeof(saved), &saved) < 0)
        return;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    snprintf(path, sizeof(path), "task/%d/sched", tid);
    if (sched_setaffinity(0, sizeof(one), &one) < 0)
        return;
    sched_yield(); /* brings our own exec_start up to now */
    if (read_runs(proc_fd, tid, &ret->runs) == 0 &&
        read_exec_start(AT_FDCWD, "/proc/thread-self/sched", &now) == 0 &&
        read_exec_start(proc_fd, path, &then) == 0) {
        ret->known = true;
        ret->elapsed_ns = now > then ? now - then : 0;
    }
    sched_setaffinity(0, sizeof(saved), &saved);
}

void task_check_waiting(int proc_fd, pid_t tid, struct arch_waiting *waiting)
{
    uint64_t runs;

    /* Once it runs for the stop itself. */
    if (waiting->known && (read_runs(proc_fd, tid, &runs) < 0 || runs > waiting->runs + 1))
        waiting->known = false;
}
