/*
 * waiting.c - how long a thread has waited in its system call
 *
 * The measure is taken while the thread sleeps, and is worth something only if the stop ends that
 * very sleep: were it the measure of an earlier call, the present one would end too early. So the
 * thread must be asleep, and not have run since, right before it is interrupted, and must have run
 * just once, for the stop, after it.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "tracee/task.h"

/*
 * From the last look at a sleeping thread to its interruption; longer: it may have run. Where every
 * look takes longer (an emulated processor), the thread is as slow: then about the fastest look
 * will do, within limits.
 */
#define CONFIRM_TIME_US      200
#define SLOW_CONFIRM_TIME_US 3000
#define CONFIRM_TRIES        20

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

static bool is_asleep(int proc_fd, pid_t tid, int *ret_cpu)
{
    unsigned long flags;
    char state;

    return task_stat(proc_fd, tid, &state, &flags, ret_cpu) == 0 && (state == 'S' || state == 'D');
}

/* A call, its arguments, and where the thread goes on. */
struct call {
    long number;
    uint64_t args[6];
    uint64_t stack_pointer, program_counter;
};

/* A line of /proc/PID/syscall; false: it is in none. */
static bool parse_call(const char *line, struct call *ret)
{
    uint64_t values[8];
    char *end;

    ret->number = strtol(line, &end, 10);
    for (size_t i = 0; i < ELEMENTS(values); i++) {
        const char *at = end;
        values[i] = strtoull(at, &end, 16);
        if (end == at)
            return false;
    }
    memcpy(ret->args, values, sizeof(ret->args));
    ret->stack_pointer = values[6];
    ret->program_counter = values[7];
    return ret->number >= 0;
}

/* The call that it is in. */
static bool read_call(int proc_fd, pid_t tid, struct call *ret)
{
    _cleanup_bytes_ struct bytes line = {0};

    return task_read(proc_fd, tid, "syscall", &line) == 0 &&
           parse_call((const char *)line.data, ret);
}

/* Is there nothing to hold: has it ended, or is it the kernel's own (io_uring's workers)? Those
 * look as if they were in a call, but have no place to go on at. */
static bool is_nothing(int proc_fd, pid_t tid)
{
    unsigned long flags;
    char state;
    int cpu;

    return task_stat(proc_fd, tid, &state, &flags, &cpu) < 0 || (flags & PF_IO_WORKER) ||
           state == 'Z' || state == 'X';
}

static enum task_call kind_of(long number)
{
    return arch_call_gives_up(number) ? TASK_GIVES_UP : TASK_WAITS;
}

/*
 * The kernel does not tell what is left of a timeout, but when a thread last ran. The clocks of
 * two CPUs may differ by 100 ms and more, so our own time is read on the thread's CPU.
 */
static void measure(int proc_fd, pid_t tid, int cpu, struct arch_waiting *ret)
{
    uint64_t then, now;
    cpu_set_t saved, one;
    char path[64];

    if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(saved), &saved) < 0)
        return;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    snprintf(path, sizeof(path), "task/%d/sched", tid);
    if (sched_setaffinity(0, sizeof(one), &one) < 0)
        return;
    sched_yield(); /* brings our own exec_start up to now */
    if (read_exec_start(AT_FDCWD, "/proc/thread-self/sched", &now) == 0 &&
        read_exec_start(proc_fd, path, &then) == 0) {
        ret->known = true;
        ret->elapsed_ns = now > then ? now - then : 0;
    }
    sched_setaffinity(0, sizeof(saved), &saved);
}

enum task_call task_measure_waiting(int proc_fd, pid_t tid, struct arch_waiting *ret)
{
    _cleanup_bytes_ struct bytes wchan = {0};
    struct call c;
    int cpu;

    *ret = (struct arch_waiting){0};
    if (!read_call(proc_fd, tid, &c) || (!c.stack_pointer && !c.program_counter))
        return is_nothing(proc_fd, tid) ? TASK_IS_NONE : TASK_RUNS;
    /* Only what goes on after an earlier stop is known by the place where it sleeps. */
    if (!arch_call_has_timeout(c.number) ||
        (c.number != SYS_restart_syscall && !arch_call_needs_measure(c.number, c.args, "")))
        return kind_of(c.number);
    /* First of all: what is read from here on is of one sleep if this number stays. */
    bool counted = read_runs(proc_fd, tid, &ret->runs) == 0;
    if (!read_call(proc_fd, tid, &c))
        return TASK_RUNS;
    const enum task_call call = kind_of(c.number);
    if (!counted || !arch_call_has_timeout(c.number))
        return call;
    if (task_read(proc_fd, tid, "wchan", &wchan) == 0)
        snprintf(ret->wchan, sizeof(ret->wchan), "%.*s", (int)sizeof(ret->wchan) - 1,
                 (char *)wchan.data);
    if (arch_call_needs_measure(c.number, c.args, ret->wchan) && is_asleep(proc_fd, tid, &cpu))
        measure(proc_fd, tid, cpu, ret);
    return call;
}

/* How long a look may take, by the fastest of the `n` looks so far. */
static uint64_t look_limit_us(int n, uint64_t fastest_us)
{
    uint64_t slow_us = fastest_us + fastest_us / 2;

    if (n < CONFIRM_TRIES / 2 || slow_us < CONFIRM_TIME_US)
        return CONFIRM_TIME_US;
    return slow_us < SLOW_CONFIRM_TIME_US ? slow_us : SLOW_CONFIRM_TIME_US;
}

uint64_t task_confirm_waiting(int proc_fd, pid_t tid, struct arch_waiting *waiting)
{
    uint64_t before_us, took_us, fastest_us = SLOW_CONFIRM_TIME_US, runs;
    int cpu;

    if (!waiting->known)
        return 0;
    /* Again when we were kept from the CPU ourselves: it may have run meanwhile. */
    for (int n = 0; n < CONFIRM_TRIES; n++) {
        before_us = now_us();
        if (read_runs(proc_fd, tid, &runs) < 0 || runs != waiting->runs ||
            !is_asleep(proc_fd, tid, &cpu))
            break;
        took_us = now_us() - before_us;
        waiting->confirm_us = look_limit_us(n, fastest_us);
        if (took_us < waiting->confirm_us)
            return before_us;
        if (took_us < fastest_us)
            fastest_us = took_us;
    }
    waiting->known = false;
    return 0;
}

void task_check_waiting(int proc_fd, pid_t tid, uint64_t confirmed_us, uint64_t interrupted_us,
                        struct arch_waiting *waiting)
{
    uint64_t runs;

    /* Once it runs for the stop itself. */
    if (waiting->known && (interrupted_us - confirmed_us > 2 * waiting->confirm_us ||
                           read_runs(proc_fd, tid, &runs) < 0 || runs > waiting->runs + 1))
        waiting->known = false;
}
