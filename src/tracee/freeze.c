/*
 * freeze.c - seize and stop every thread of a process
 *
 * PTRACE_SEIZE and PTRACE_INTERRUPT send nothing that the process could see. Threads are looked for
 * until a whole pass finds no new one while all known ones stand still: then none is missed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "tracee/sandbox.h"
#include "tracee/stop.h"
#include "tracee/task.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#define GUESS_TRIES            8
#define GUESS_SLEEP_US         100
#define N_LOOKS_AT_ONCE        10
#define FREEZE_DEFAULT_TIME_US (10 * 1000000)
#define LATE_TIME_US           (30 * 1000000)
#define LATE_SLEEP_US          200

static struct tracee_thread *find_thread(struct tracee *t, pid_t tid)
{
    for (size_t i = 0; i < t->n_threads; i++)
        if (t->threads[i].tid == tid)
            return &t->threads[i];
    return NULL;
}

static struct tracee_thread *add_thread(struct tracee *t, pid_t tid)
{
    if (array_grow((void **)&t->threads, &t->n_threads, &t->threads_room, sizeof(*t->threads)) < 0)
        return NULL;
    struct tracee_thread *th = &t->threads[t->n_threads - 1];
    *th = (struct tracee_thread){.tid = tid, .owner = t};
    return th;
}

/* The threads that are held already, in order: a pass asks for each thread that there is. */
struct known_threads {
    pid_t *tids;
    size_t n;
};

static void known_clear(struct known_threads *known)
{
    free(known->tids);
}

static int compare_tids(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

    return (x > y) - (x < y);
}

static int list_known(const struct tracee *t, struct known_threads *ret, struct crs_error *err)
{
    ret->tids = calloc(t->n_threads + 1, sizeof(*ret->tids));
    if (!ret->tids)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    ret->n = t->n_threads;
    for (size_t i = 0; i < t->n_threads; i++)
        ret->tids[i] = t->threads[i].tid;
    qsort(ret->tids, ret->n, sizeof(*ret->tids), compare_tids);
    return 0;
}

static bool is_known(const struct known_threads *known, pid_t tid)
{
    return bsearch(&tid, known->tids, known->n, sizeof(tid), compare_tids) != NULL;
}

/* A thread that is held but has not been told to stop. */
struct seized {
    pid_t tid;
    enum task_call call;
    bool runs; /* it was running, and no stop or end of it has been seen yet */
    bool over; /* its stop or its end has been seen */
    struct arch_waiting waiting;
    uint64_t confirmed_us,
        interrupted_us; /* when waiting was last seen to hold; the interruption */
};
struct seized_threads {
    ARRAY_OF(struct seized) array;
};

static void seized_clear(struct seized_threads *s)
{
    free(s->array.items);
}

/* Registers, mask and numbers of a thread that has just stopped. */
static int read_thread(struct tracee_thread *th, const struct seized *s, struct crs_error *err)
{
    struct arch_waiting waiting = s->waiting;
    _cleanup_bytes_ struct bytes status = {0};
    struct tracee *t = th->owner;

    /* First of all, the call that was interrupted: should the tool be killed before this, a call
     * that gives up on interruption (epoll_wait) would show it to the program. */
    int r = arch_get_regs(th->tid, &th->regs, err);
    if (r == 0)
        r = arch_repair_call(th, err);
    task_check_waiting(t->proc_fd, th->tid, s->confirmed_us, s->interrupted_us, &waiting);
    th->waiting = waiting;
    if (r == 0)
        r = arch_account_timeout(th, &waiting, err);
    if (r < 0)
        return r;
    if (ptrace(PTRACE_GETSIGMASK, th->tid, sizeof(th->sigmask), &th->sigmask) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't read the signal mask of thread %d", th->tid);
    th->inner_tid = th->tid;
    if (t->inner_pid != t->pid && task_read(t->proc_fd, th->tid, "status", &status) == 0)
        th->inner_tid = task_status_number((char *)status.data, "\nNSpid:", true);
    return 0;
}

/* 1: it has ended. */
static int seize_thread(struct tracee *t, pid_t tid, struct crs_error *err)
{
    char state = '?';
    unsigned long flags = 0;
    int cpu;

    if (ptrace(PTRACE_SEIZE, tid, 0, (void *)(long)PTRACE_O_TRACESYSGOOD) == 0)
        return 0;
    int errnum = errno;
    if (errnum == ESRCH || task_stat(t->proc_fd, tid, &state, &flags, &cpu) < 0 || state == 'Z' ||
        state == 'X')
        return 1;
    return task_explain_refusal(t, errnum, err);
}

static int interrupt(struct tracee *t, struct seized *s, struct crs_error *err)
{
    s->confirmed_us = task_confirm_waiting(t->proc_fd, s->tid, &s->waiting);
    /* Before it is: the thread that is woken may take our place on the CPU. */
    s->interrupted_us = now_us();
    if (!t->frozen_at_us)
        t->frozen_at_us = s->interrupted_us;
    if (ptrace(PTRACE_INTERRUPT, s->tid, 0, 0) < 0 && errno != ESRCH)
        return crs_fail_errno(err, CRS_FAILED, "can't stop thread %d", s->tid);
    return 0;
}

/* It has stopped. */
static int keep_thread(struct tracee *t, const struct seized *s, struct crs_error *err)
{
    struct tracee_thread *th = add_thread(t, s->tid);

    if (!th)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    return read_thread(th, s, err);
}

/* Wait for its stop, and take it. */
static int take_thread(struct tracee *t, struct seized *s, uint64_t deadline_us,
                       struct crs_error *err)
{
    int r = stop_await(t, s->tid, deadline_us, err);

    s->over = r >= 0;
    if (r != 0) /* 1: it has ended */
        return r < 0 ? r : 0;
    return keep_thread(t, s, err);
}

/* Take those that have stopped. *ret: one of the others, or NULL. */
static int take_stopped(struct tracee *t, struct seized_threads *s, bool *ret_some,
                        const struct seized **ret, struct crs_error *err)
{
    int r = 0;

    *ret = NULL;
    *ret_some = false;
    for (size_t i = 0; i < s->array.n && r == 0; i++) {
        struct seized *one = &s->array.items[i];
        if (!one->runs)
            continue;
        int stop = stop_look(t, one->tid);
        one->runs = stop == -EAGAIN;
        one->over = !one->runs;
        if (one->runs)
            *ret = one;
        else
            *ret_some = true;
        if (stop == 0)
            r = keep_thread(t, one, err);
    }
    return r;
}

/* Between two looks at threads that still run, and have to get a processor to stop. */
static void nap_while_running(int turn)
{
    if (turn >= N_LOOKS_AT_ONCE)
        stop_sleep(turn < 100 ? 20 : turn < 500 ? 50 : 1000);
}

/* Threads that run, or wait for a processor: each takes its place until it has had it. So all are
 * told before any is waited for, and each is taken as soon as it has stopped. */
static int stop_running(struct tracee *t, struct seized_threads *s, uint64_t deadline_us,
                        struct crs_error *err)
{
    const struct seized *left = NULL;
    bool some;
    int r = 0;

    for (size_t i = 0; i < s->array.n && r == 0; i++) {
        s->array.items[i].runs = s->array.items[i].call == TASK_RUNS;
        if (s->array.items[i].runs)
            r = interrupt(t, &s->array.items[i], err);
    }
    for (int turn = 0; r == 0; turn++) {
        r = take_stopped(t, s, &some, &left, err);
        if (r < 0 || !left)
            return r;
        if (some)
            turn = 0;
        if (now_us() > deadline_us)
            return task_explain_delay(t, left->tid, err);
        nap_while_running(turn);
    }
    return r;
}

/* All others are told to stop before the first is waited for, but for those whose call gives up on
 * interruption: there no time is lost between the stop and the repair. */
static int stop_each(struct tracee *t, struct seized_threads *s, uint64_t deadline_us,
                     struct crs_error *err)
{
    size_t n = s->array.n;
    struct seized *all = s->array.items;
    int r = stop_running(t, s, deadline_us, err);

    for (size_t i = 0; i < n && r == 0; i++) {
        if (all[i].call != TASK_GIVES_UP)
            continue;
        r = interrupt(t, &all[i], err);
        if (r == 0)
            r = take_thread(t, &all[i], deadline_us, err);
    }
    for (size_t i = 0; i < n && r == 0; i++)
        if (all[i].call == TASK_WAITS)
            r = interrupt(t, &all[i], err);
    for (size_t i = 0; i < n && r == 0; i++)
        if (all[i].call == TASK_WAITS)
            r = take_thread(t, &all[i], deadline_us, err);
    return r;
}

/* It was told to stop, and hasn't: if it only waits for a processor, its call has been interrupted
 * already. What can't be interrupted has nothing to repair. */
static void let_late_thread_go(struct tracee *t, const struct seized *s, uint64_t until_us)
{
    struct tracee_thread th = {.tid = s->tid, .owner = t};
    unsigned long flags;
    char state = 'R';
    int cpu, r;

    while ((r = stop_look(t, s->tid)) == -EAGAIN && now_us() < until_us && strchr("RtT", state)) {
        usleep(LATE_SLEEP_US);
        if (task_stat(t->proc_fd, s->tid, &state, &flags, &cpu) < 0)
            return;
    }
    if (r != 0)
        return;
    read_thread(&th, s, NULL);
    ptrace(PTRACE_DETACH, s->tid, 0, 0);
}

/* The program isn't held after all. A thread that stops later, when nobody repairs its call, would
 * go on with EINTR; the others needn't wait for it. */
static void let_late_ones_go(struct tracee *t, const struct seized_threads *s)
{
    uint64_t until_us = now_us() + LATE_TIME_US;

    tracee_thaw(t, false, NULL);
    for (size_t i = 0; i < s->array.n; i++)
        if (s->array.items[i].interrupted_us && !s->array.items[i].over)
            let_late_thread_go(t, &s->array.items[i], until_us);
}

/*
 * Were this thread to be killed between a call's interruption and its repair, the program would see
 * EINTR: nothing that it holds could be told to the kernel beforehand. Whoever kills can see it.
 */
static int stop_threads(struct tracee *t, struct seized_threads *s, uint64_t deadline_us,
                        struct crs_error *err)
{
    char name[16] = "";

    prctl(PR_GET_NAME, name);
    prctl(PR_SET_NAME, TRACEE_INTERRUPTING);
    int r = stop_each(t, s, deadline_us, err);
    if (r < 0)
        let_late_ones_go(t, s);
    prctl(PR_SET_NAME, name);
    return r;
}

/* Who took them last gives them back first; a thread's turn comes when those behind it are back. */
static int put_events_back(struct tracee *t, struct crs_error *err)
{
    char name[16] = "";
    int n_back = 1, r = 0;

    prctl(PR_GET_NAME, name);
    prctl(PR_SET_NAME, TRACEE_INTERRUPTING);
    while (n_back > 0 && r >= 0) {
        n_back = 0;
        tracee_for_each_thread (t, th) {
            r = arch_put_events_back(th, err);
            if (r < 0)
                break;
            n_back += r;
        }
    }
    prctl(PR_SET_NAME, name);
    return r < 0 ? r : 0;
}

static int seize_new_threads(struct tracee *t, DIR *dir, struct seized_threads *s,
                             struct crs_error *err)
{
    _cleanup_(known_clear) struct known_threads known = {0};
    int r = list_known(t, &known, err);

    if (r < 0)
        return r;
    for (struct dirent *e; (e = readdir(dir));) {
        pid_t tid = atoi(e->d_name);
        if (tid <= 0 || is_known(&known, tid))
            continue;
        struct seized one = {.tid = tid};
        one.call = task_measure_waiting(t->proc_fd, tid, &one.waiting);
        r = one.call == TASK_IS_NONE ? 1 : seize_thread(t, tid, err);
        if (r < 0)
            return r;
        if (r > 0)
            continue;
        struct seized *place = ARRAY_ADD(&s->array);
        if (!place)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        *place = one;
    }
    return 0;
}

/* One pass over the threads; *ret_new counts those that were held now. */
static int stop_new_threads(struct tracee *t, uint64_t deadline_us, size_t *ret_new,
                            struct crs_error *err)
{
    int fd = openat(t->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    _cleanup_(seized_clear) struct seized_threads seized = {0};

    if (!dir)
        return task_not_there(t->pid, errno, true, err);
    int r = seize_new_threads(t, dir, &seized, err);
    if (r == 0)
        r = stop_threads(t, &seized, deadline_us, err);
    *ret_new = seized.array.n;
    return r;
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

/* *ret_sandboxed (may be NULL): is it under seccomp? */
static int open_process(struct tracee *t, bool *ret_sandboxed, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes status = {0};
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d", t->pid);
    t->proc_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = t->proc_fd < 0 ? -errno : read_record(t->proc_fd, "status", 1 << 20, &status);
    if (r < 0)
        return task_not_there(t->pid, -r, false, err);
    long leader = task_status_number((char *)status.data, "\nTgid:", false);
    if (leader != t->pid)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "%d is a thread of process %ld: name that",
                        t->pid, leader);
    if (ret_sandboxed)
        *ret_sandboxed = task_status_number((char *)status.data, "\nSeccomp:", false) != 0;
    t->inner_pid = task_status_number((char *)status.data, "\nNSpid:", true);
    if (t->inner_pid <= 0)
        t->inner_pid = t->pid;
    t->pidfd = syscall(SYS_pidfd_open, t->pid, 0);
    if (t->pidfd < 0)
        return errno == ESRCH ? task_not_there(t->pid, ESRCH, false, err)
                              : crs_fail_errno(err, CRS_FAILED, "can't open process %d", t->pid);
    return 0;
}

/*
 * What /proc/PID tells of a leader that has exited is empty, but /proc/TID of each thread, which no
 * list of /proc shows, is as that of the whole process.
 */
static int look_through(struct tracee *t, pid_t tid, struct crs_error *err)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d", tid);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't open %s, a thread of process %d", path,
                              t->pid);
    close(t->proc_fd);
    t->proc_fd = fd;
    return 0;
}

/* Before it is held: where the leader has exited, by one that lives now. */
static int look_past_leader(struct tracee *t, struct crs_error *err)
{
    unsigned long flags;
    char state;
    int cpu, r = 0;

    if (task_stat(t->proc_fd, t->pid, &state, &flags, &cpu) < 0 || state != 'Z')
        return 0;
    int fd = openat(t->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        pid_t tid = atoi(e->d_name);
        if (tid <= 0 || tid == t->pid || task_stat(t->proc_fd, tid, &state, &flags, &cpu) < 0 ||
            strchr("ZX", state))
            continue;
        r = look_through(t, tid, err);
        break;
    }
    return r;
}

int tracee_check(pid_t pid, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes status = {0};
    struct tracee t = {.pid = pid, .pidfd = -1, .task_pidfd = -1, .proc_fd = -1, .mem_fd = -1};
    int r = open_process(&t, NULL, err);
    if (r == 0)
        r = look_past_leader(&t, err);
    _cleanup_close_ int proc_fd = t.proc_fd, pidfd = t.pidfd;
    _cleanup_close_ int mem_fd = r < 0 ? -1 : openat(proc_fd, "mem", O_RDONLY | O_CLOEXEC);

    (void)pidfd;
    if (r < 0)
        return r;
    if (mem_fd < 0)
        return task_explain_refusal(&t, errno, err);
    if (read_record(proc_fd, "status", 1 << 20, &status) == 0 &&
        (task_status_number((char *)status.data, "\nTracerPid:", false) > 0 ||
         !strstr((char *)status.data, "\nVmSize:")))
        return task_explain_refusal(&t, EPERM, err);
    return task_check_group(pid, proc_fd, err);
}

int tracee_check_group(pid_t pid, struct crs_error *err)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d", pid);
    _cleanup_close_ int proc_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return proc_fd < 0 ? 0 : task_check_group(pid, proc_fd, err);
}

/* Of a process whose leader has exited, all that is told of others comes from one that is held. A
 * kernel without pidfds of threads (before Linux 6.9) shows nobody the descriptors. */
static int read_exited(struct tracee *t, struct crs_error *err)
{
    pid_t living = tracee_main(t)->tid;

    t->threads[0].exit_status = task_exit_status(t->proc_fd, t->pid);
    t->task_pidfd = syscall(SYS_pidfd_open, living, PIDFD_THREAD);
    return look_through(t, living, err);
}

static struct tracee *new_tracee(pid_t pid)
{
    struct tracee *t = calloc(1, sizeof(*t));

    if (t)
        *t =
            (struct tracee){.pid = pid, .pidfd = -1, .task_pidfd = -1, .proc_fd = -1, .mem_fd = -1};
    return t;
}

static int freeze_once(pid_t pid, uint64_t deadline_us, struct tracee **ret, struct crs_error *err)
{
    _cleanup_(cleanup_tracee) struct tracee *t = new_tracee(pid);
    size_t n_new = 1;
    bool sandboxed;

    if (!t)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = open_process(t, &sandboxed, err);
    if (r < 0)
        return r;
    if (pid == getpid())
        return crs_fail(err, CRS_USAGE, EINVAL, "a process can't checkpoint itself from outside");
    /* One that has come since all were looked at. */
    if (sandboxed)
        r = sandbox_check(pid, err);
    if (r < 0)
        return r;
    t->frozen = true;
    while (n_new > 0) {
        r = stop_new_threads(t, deadline_us, &n_new, err);
        if (r < 0)
            return r;
    }
    if (t->n_threads == 0)
        return task_explain_refusal(t, EPERM, err);
    r = put_leader_first(t, err);
    if (r == 0 && t->threads[0].exited)
        r = read_exited(t, err);
    if (r < 0)
        return r;
    t->mem_fd = openat(t->proc_fd, "mem", O_RDWR | O_CLOEXEC);
    if (t->mem_fd < 0)
        return crs_fail_errno(err, CRS_NOT_PERMITTED, "can't open the memory of process %d", pid);
    r = put_events_back(t, err);
    if (r == 0)
        r = sandbox_enter(t, err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(t);
    return 0;
}

static bool is_guessed(struct tracee *t)
{
    tracee_for_each_thread (t, th)
        if (th->guessed)
            return true;
    return false;
}

/*
 * A thread that is held twice in a row may stand, the second time, right before restart_syscall,
 * which doesn't tell the call that it lets go on. Where the thread sleeps tells it: so it is let
 * go to sleep, and held anew.
 */
int tracee_freeze(pid_t pid, uint64_t deadline_us, struct tracee **ret, struct crs_error *err)
{
    struct tracee *t = NULL;
    int r;

    if (!deadline_us)
        deadline_us = now_us() + FREEZE_DEFAULT_TIME_US;
    for (unsigned tries = 1;; tries++) {
        r = freeze_once(pid, deadline_us, &t, err);
        if (r < 0 || !is_guessed(t) || tries == GUESS_TRIES || now_us() > deadline_us)
            break;
        tracee_free(TAKE_PTR(t));
        usleep(GUESS_SLEEP_US << tries);
    }
    if (r == 0)
        *ret = t;
    return r;
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
    return read_thread(th, &(struct seized){.tid = tid}, err);
}

/* Its memory and registers, as they are at a fresh image's beginning. */
static int take_stub(struct tracee *t, struct crs_error *err)
{
    struct tracee_thread *th = &t->threads[0];
    uint64_t mask = ~0ULL & ~(1ULL << (SIGTRAP - 1));

    if (ptrace(PTRACE_SETSIGMASK, t->pid, sizeof(mask), &mask) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't block the signals of process %d", t->pid);
    int r = read_thread(th, &(struct seized){.tid = t->pid}, err);
    if (r < 0)
        return r;
    cleanup_close(&t->mem_fd);
    t->mem_fd = openat(t->proc_fd, "mem", O_RDWR | O_CLOEXEC);
    if (t->mem_fd < 0)
        return crs_fail_errno(err, CRS_NOT_PERMITTED, "can't open the memory of process %d",
                              t->pid);
    return 0;
}

int tracee_adopt_stub(pid_t pid, struct tracee **ret, struct crs_error *err)
{
    _cleanup_(cleanup_tracee) struct tracee *t = new_tracee(pid);

    if (!t)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    t->stub = true;
    t->frozen = true;
    int r = open_process(t, NULL, err);
    if (r < 0)
        return r;
    if (!add_thread(t, pid))
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    r = take_stub(t, err);
    if (r == 0)
        *ret = TAKE_PTR(t);
    return r;
}

int tracee_renew_stub(struct tracee *t, struct crs_error *err)
{
    arch_calls_free(TAKE_PTR(t->calls));
    t->scratch = t->scratch_size = 0;
    return take_stub(t, err);
}
