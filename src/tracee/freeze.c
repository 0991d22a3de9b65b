/*
 * freeze.c - seize and stop every thread of a process
 *
 * PTRACE_SEIZE and PTRACE_INTERRUPT send nothing that the process could see. Threads are looked for
 * until a whole pass finds no new one while all known ones stand still: then none is missed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "tracee/reaped.h"
#include "tracee/tracee.h"

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif
#define PF_IO_WORKER           0x10
#define FREEZE_DEFAULT_TIME_US (10 * 1000000)

/* ---- what /proc says of a thread, as far as the freeze needs it ---- */

/* The value of "NAME:\t..." in the text of a status file; 0 when it isn't there. */
static long status_number(const char *text, const char *name, bool last)
{
    const char *p = strstr(text, name);

    if (!p)
        return 0;
    p += strlen(name);
    long value = strtol(p, (char **)&p, 10);
    while (last && *p == '\t')
        value = strtol(p, (char **)&p, 10);
    return value;
}

static int read_task_file(int proc_fd, pid_t tid, const char *name, struct bytes *ret)
{
    char path[64];

    snprintf(path, sizeof(path), "task/%d/%s", tid, name);
    return read_file(proc_fd, path, 1 << 20, ret);
}

/* The state letter, the flags and the last CPU of a thread: fields 3, 9 and 39 of its stat. */
static int read_stat(int proc_fd, pid_t tid, char *ret_state, unsigned long *ret_flags,
                     int *ret_cpu)
{
    _cleanup_bytes_ struct bytes text = {0};
    int r = read_task_file(proc_fd, tid, "stat", &text);

    if (r < 0)
        return r;
    char *p = strrchr((char *)text.data, ')');
    if (!p || !p[1])
        return -EINVAL;
    *ret_state = p[2];
    p += 2;
    for (int field = 3; field < 39 && p; field++) {
        p = strchr(p, ' ');
        if (p)
            p++;
        if (field + 1 == 9 && p)
            *ret_flags = strtoul(p, NULL, 10);
    }
    *ret_cpu = p ? atoi(p) : -1;
    return 0;
}

/* ---- how long a thread has waited ---- */

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

/*
 * The kernel does not tell what is left of a timeout, but when a thread last ran. The clocks of
 * two CPUs may differ by 100 ms and more, so our own time is read on the thread's CPU.
 */
static void measure_waiting(int proc_fd, pid_t tid, struct arch_waiting *ret)
{
    _cleanup_bytes_ struct bytes call = {0}, wchan = {0};
    char path[64], state;
    unsigned long flags = 0;
    uint64_t then, now;
    cpu_set_t saved, one;
    int cpu = -1;

    *ret = (struct arch_waiting){0};
    if (read_task_file(proc_fd, tid, "syscall", &call) < 0 || call.data[0] < '0' ||
        call.data[0] > '9' || !arch_call_has_timeout(strtol((char *)call.data, NULL, 10)))
        return;
    if (read_task_file(proc_fd, tid, "wchan", &wchan) == 0)
        snprintf(ret->wchan, sizeof(ret->wchan), "%.*s", (int)sizeof(ret->wchan) - 1,
                 (char *)wchan.data);
    if (read_stat(proc_fd, tid, &state, &flags, &cpu) < 0 || cpu < 0 || cpu >= CPU_SETSIZE ||
        sched_getaffinity(0, sizeof(saved), &saved) < 0)
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

/* ---- refusals ---- */

static long yama_scope(void)
{
    _cleanup_bytes_ struct bytes text = {0};

    if (read_file(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", 64, &text) < 0)
        return 0;
    return strtol((char *)text.data, NULL, 10);
}

static int explain_refusal(struct tracee *t, int errnum, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes status = {0};
    struct stat st;

    if (errnum == ESRCH)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d has ended", t->pid);
    if (read_file(t->proc_fd, "status", 1 << 20, &status) < 0)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d has ended", t->pid);
    long tracer = status_number((char *)status.data, "\nTracerPid:", false);
    long uid = status_number((char *)status.data, "\nUid:", false);
    if (tracer > 0)
        return crs_fail(err, CRS_BUSY, EBUSY,
                        "process %d is traced by process %ld (a debugger or another checkpoint): "
                        "end that first",
                        t->pid, tracer);
    if (geteuid() != 0 && uid != (long)geteuid())
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "process %d belongs to user %ld: only that user or root can hold it", t->pid,
                        uid);
    if (strstr((char *)status.data, "\nVmSize:") == NULL)
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "process %d is a kernel thread or a zombie and has no memory", t->pid);
    if (yama_scope() > 0)
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "the kernel's policy (yama ptrace_scope %ld) lets only an ancestor hold "
                        "process %d: start the program with 'crs run', then 'crs checkpoint NAME'",
                        yama_scope(), t->pid);
    if (fstat(t->proc_fd, &st) == 0 && st.st_uid != (uid_t)uid)
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "process %d is not dumpable (it was set-user-ID or protects itself): only "
                        "root can hold it",
                        t->pid);
    return crs_fail(err, CRS_NOT_PERMITTED, errnum, "can't hold process %d: %s", t->pid,
                    strerror(errnum));
}

/* ---- stopping ---- */

int tracee_wait(pid_t tid, uint64_t deadline_us, int *ret_status)
{
    for (int turn = 0;; turn++) {
        pid_t r = waitpid(tid, ret_status, __WALL | __WNOTHREAD | (deadline_us ? WNOHANG : 0));
        if (r == tid && !WIFSTOPPED(*ret_status))
            tracee_note_end(tid, *ret_status);
        if (r == tid)
            return 0;
        if (r < 0 && errno != EINTR)
            return -errno;
        if (deadline_us == 0)
            continue;
        if (now_us() > deadline_us)
            return -ETIMEDOUT;
        if (turn < 50)
            sched_yield();
        else
            usleep(turn < 500 ? 50 : 1000);
    }
}

/* Wait for the stop that PTRACE_INTERRUPT asked for. Signals that come first are delivered, as
 * they would have been. 1: the thread has ended. */
static int wait_for_stop(struct tracee *t, pid_t tid, uint64_t deadline_us, struct crs_error *err)
{
    char state = '?';
    unsigned long flags;
    int status, cpu;

    for (;;) {
        int r = tracee_wait(tid, deadline_us, &status);
        if (r == -ECHILD)
            return 1;
        if (r < 0) {
            read_stat(t->proc_fd, tid, &state, &flags, &cpu);
            return crs_fail(err, CRS_TIMED_OUT, ETIMEDOUT,
                            "thread %d of process %d did not stop in time (state %c): it is in a "
                            "vfork or in an operation of the kernel that can't be interrupted; "
                            "try again",
                            tid, t->pid, state);
        }
        if (!WIFSTOPPED(status))
            return 1;
        if (status >> 16 == PTRACE_EVENT_STOP) {
            if (WSTOPSIG(status) != SIGTRAP)
                t->group_stopped = true;
            return 0;
        }
        ptrace(PTRACE_CONT, tid, 0, (void *)(long)(status >> 16 ? 0 : WSTOPSIG(status)));
    }
}

static struct tracee_thread *find_thread(struct tracee *t, pid_t tid)
{
    for (size_t i = 0; i < t->n_threads; i++)
        if (t->threads[i].tid == tid)
            return &t->threads[i];
    return NULL;
}

static struct tracee_thread *add_thread(struct tracee *t, pid_t tid)
{
    struct tracee_thread *more =
        reallocarray(t->threads, t->n_threads + 1, sizeof(struct tracee_thread));

    if (!more)
        return NULL;
    t->threads = more;
    struct tracee_thread *th = &more[t->n_threads++];
    *th = (struct tracee_thread){.tid = tid, .owner = t};
    return th;
}

/* Registers, mask and numbers of a thread that has just stopped. */
static int read_thread(struct tracee_thread *th, const struct arch_waiting *waiting,
                       struct crs_error *err)
{
    _cleanup_bytes_ struct bytes status = {0};
    /* First of all, the call that was interrupted: should the tool be killed before this, a call
     * that gives up on interruption (epoll_wait) would show it to the program. */
    int r = arch_get_regs(th->tid, &th->regs, err);
    if (r == 0)
        r = arch_fix_interrupted_call(th, waiting, err);
    if (r < 0)
        return r;
    if (ptrace(PTRACE_GETSIGMASK, th->tid, sizeof(th->sigmask), &th->sigmask) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't read the signal mask of thread %d", th->tid);
    if (read_task_file(th->owner->proc_fd, th->tid, "status", &status) == 0)
        th->inner_tid = status_number((char *)status.data, "\nNSpid:", true);
    if (th->inner_tid <= 0)
        th->inner_tid = th->tid;
    return 0;
}

/* 1: nothing to hold: it has ended, or has no user state. */
static int seize_thread(struct tracee *t, pid_t tid, struct crs_error *err)
{
    char state = '?';
    unsigned long flags = 0;
    int cpu;

    if (read_stat(t->proc_fd, tid, &state, &flags, &cpu) < 0 || (flags & PF_IO_WORKER))
        return 1;
    if (state == 'Z' || state == 'X')
        return 1;
    if (ptrace(PTRACE_SEIZE, tid, 0, (void *)(long)PTRACE_O_TRACESYSGOOD) == 0)
        return 0;
    int errnum = errno;
    if (errnum == ESRCH || read_stat(t->proc_fd, tid, &state, &flags, &cpu) < 0 || state == 'Z' ||
        state == 'X')
        return 1;
    return explain_refusal(t, errnum, err);
}

static int stop_thread(struct tracee *t, pid_t tid, uint64_t deadline_us, struct crs_error *err)
{
    struct arch_waiting waiting;
    int r = seize_thread(t, tid, err);

    if (r != 0)
        return r < 0 ? r : 0;
    measure_waiting(t->proc_fd, tid, &waiting);
    if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0)
        return errno == ESRCH ? 0 : crs_fail_errno(err, CRS_FAILED, "can't stop thread %d", tid);
    if (!t->frozen_at_us)
        t->frozen_at_us = now_us();
    r = wait_for_stop(t, tid, deadline_us, err);
    if (r < 0) /* detach works in a stop only; closing the tracer's hold lets it go */
        return r;
    if (r > 0)
        return 0;
    struct tracee_thread *th = add_thread(t, tid);
    if (!th)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    r = read_thread(th, &waiting, err);
    return r < 0 ? r : 1;
}

/* One pass over the threads; *ret_new counts those that were stopped now. */
static int stop_new_threads(struct tracee *t, uint64_t deadline_us, size_t *ret_new,
                            struct crs_error *err)
{
    int fd = openat(t->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    *ret_new = 0;
    if (!dir)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d has ended", t->pid);
    for (struct dirent *e; (e = readdir(dir));) {
        pid_t tid = atoi(e->d_name);
        if (tid <= 0 || find_thread(t, tid))
            continue;
        int r = stop_thread(t, tid, deadline_us, err);
        if (r < 0)
            return r;
        *ret_new += r;
    }
    return 0;
}

/* The leader first; an exited one that other threads outlive gets its place too. */
static int put_leader_first(struct tracee *t, struct crs_error *err)
{
    struct tracee_thread *leader = find_thread(t, t->pid);

    if (!leader) {
        leader = add_thread(t, t->pid);
        if (!leader)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        leader->exited = true;
        leader->inner_tid = t->inner_pid;
    }
    struct tracee_thread first = t->threads[0];
    t->threads[0] = *leader;
    if (leader != &t->threads[0])
        *leader = first;
    return 0;
}

static int open_process(struct tracee *t, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes status = {0};
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d", t->pid);
    t->proc_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->proc_fd < 0 || read_file(t->proc_fd, "status", 1 << 20, &status) < 0)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "there is no process %d", t->pid);
    long leader = status_number((char *)status.data, "\nTgid:", false);
    if (leader != t->pid)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "%d is a thread of process %ld: name that",
                        t->pid, leader);
    t->inner_pid = status_number((char *)status.data, "\nNSpid:", true);
    if (t->inner_pid <= 0)
        t->inner_pid = t->pid;
    t->pidfd = syscall(SYS_pidfd_open, t->pid, 0);
    if (t->pidfd < 0)
        return errno == ESRCH
                   ? crs_fail(err, CRS_NOT_FOUND, ESRCH, "there is no process %d", t->pid)
                   : crs_fail_errno(err, CRS_FAILED, "can't open process %d", t->pid);
    return 0;
}

int tracee_check(pid_t pid, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes status = {0};
    struct tracee t = {.pid = pid, .pidfd = -1, .proc_fd = -1, .mem_fd = -1};
    int r = open_process(&t, err);
    _cleanup_close_ int proc_fd = t.proc_fd, pidfd = t.pidfd;
    _cleanup_close_ int mem_fd = r < 0 ? -1 : openat(proc_fd, "mem", O_RDONLY | O_CLOEXEC);

    (void)pidfd;
    if (r < 0)
        return r;
    if (mem_fd < 0)
        return explain_refusal(&t, errno, err);
    if (read_file(proc_fd, "status", 1 << 20, &status) == 0 &&
        (status_number((char *)status.data, "\nTracerPid:", false) > 0 ||
         !strstr((char *)status.data, "\nVmSize:")))
        return explain_refusal(&t, EPERM, err);
    return 0;
}

static struct tracee *new_tracee(pid_t pid)
{
    struct tracee *t = calloc(1, sizeof(*t));

    if (t)
        *t = (struct tracee){.pid = pid, .pidfd = -1, .proc_fd = -1, .mem_fd = -1};
    return t;
}

int tracee_freeze(pid_t pid, uint64_t deadline_us, struct tracee **ret, struct crs_error *err)
{
    _cleanup_(cleanup_tracee) struct tracee *t = new_tracee(pid);
    size_t n_new = 1;

    if (!t)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = open_process(t, err);
    if (r < 0)
        return r;
    if (pid == getpid())
        return crs_fail(err, CRS_USAGE, EINVAL, "a process can't checkpoint itself from outside");
    t->frozen = true;
    if (!deadline_us)
        deadline_us = now_us() + FREEZE_DEFAULT_TIME_US;
    while (n_new > 0) {
        r = stop_new_threads(t, deadline_us, &n_new, err);
        if (r < 0)
            return r;
    }
    if (t->n_threads == 0)
        return explain_refusal(t, EPERM, err);
    r = put_leader_first(t, err);
    if (r < 0)
        return r;
    t->mem_fd = openat(t->proc_fd, "mem", O_RDWR | O_CLOEXEC);
    if (t->mem_fd < 0)
        return crs_fail_errno(err, CRS_NOT_PERMITTED, "can't open the memory of process %d", pid);
    *ret = TAKE_PTR(t);
    return 0;
}

/* ---- stubs ---- */

int tracee_adopt_thread(struct tracee *t, pid_t tid, struct crs_error *err)
{
    int status;

    int r = tracee_wait(tid, now_us() + FREEZE_DEFAULT_TIME_US, &status);
    if (r < 0 || !WIFSTOPPED(status))
        return crs_fail(err, CRS_FAILED, r < 0 ? -r : ESRCH, "the new thread %d did not stop", tid);
    struct tracee_thread *th = add_thread(t, tid);
    if (!th)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    th->sigmask = ~0ULL;
    if (ptrace(PTRACE_SETSIGMASK, tid, sizeof(th->sigmask), &th->sigmask) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't block the signals of thread %d", tid);
    return read_thread(th, &(struct arch_waiting){0}, err);
}

int tracee_adopt_stub(pid_t pid, struct tracee **ret, struct crs_error *err)
{
    _cleanup_(cleanup_tracee) struct tracee *t = new_tracee(pid);
    uint64_t mask = ~0ULL & ~(1ULL << (SIGTRAP - 1));

    if (!t)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    t->stub = true;
    t->frozen = true;
    int r = open_process(t, err);
    if (r < 0)
        return r;
    struct tracee_thread *th = add_thread(t, pid);
    if (!th)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (ptrace(PTRACE_SETSIGMASK, pid, sizeof(mask), &mask) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't block the signals of process %d", pid);
    r = read_thread(th, &(struct arch_waiting){0}, err);
    if (r < 0)
        return r;
    t->mem_fd = openat(t->proc_fd, "mem", O_RDWR | O_CLOEXEC);
    if (t->mem_fd < 0)
        return crs_fail_errno(err, CRS_NOT_PERMITTED, "can't open the memory of process %d", pid);
    *ret = TAKE_PTR(t);
    return 0;
}
