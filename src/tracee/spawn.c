/*
 * spawn.c - processes that a held live process makes for the tool
 *
 * A child of the program would be the program's to wait for. So one that is to last is made by
 * another, short-lived one, and left to whoever takes in orphans when that has ended.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/io.h"
#include "tracee/spawn.h"

#define STOP_TIME_US  5000000
#define APART_OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)

/* ---- the end of one ---- */

/* It runs no instruction any more, and is a zombie of its parent's, or gone. */
static void end_process(struct tracee *p)
{
    int status;

    if (syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0) < 0)
        return;
    while (tracee_wait(p->pid, now_us() + STOP_TIME_US, &status) == 0 && WIFSTOPPED(status))
        ;
}

static void forget(struct tracee *p)
{
    p->frozen = false;
    tracee_free(p);
}

/* Before it could be taken. */
static void kill_stranger(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    while (tracee_wait(pid, now_us() + STOP_TIME_US, &status) == 0 && WIFSTOPPED(status))
        ;
}

/* ---- taking one ---- */

static int open_process(struct tracee *p, struct crs_error *err)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d", p->pid);
    p->pidfd = syscall(SYS_pidfd_open, p->pid, 0);
    p->proc_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p->mem_fd = openat(p->proc_fd, "mem", O_RDWR | O_CLOEXEC);
    return p->pidfd < 0 || p->mem_fd < 0
               ? crs_fail_errno(err, CRS_FAILED, "can't open process %d", p->pid)
               : 0;
}

static int fill(struct tracee *p, const struct tracee *from, struct crs_error *err)
{
    int status, r = tracee_wait(p->pid, now_us() + STOP_TIME_US, &status);

    if (r < 0 || !WIFSTOPPED(status))
        return crs_fail(err, CRS_FAILED, r < 0 ? -r : ESRCH, "the new process %d did not stop",
                        p->pid);
    p->threads = calloc(1, sizeof(*p->threads));
    if (!p->threads)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    p->n_threads = p->threads_room = 1;
    p->threads[0] = (struct tracee_thread){.tid = p->pid, .owner = p, .sigmask = ~0ULL};
    r = open_process(p, err);
    return r < 0 ? r : arch_spawn_adopt(p, from, err);
}

/* The new process, in its first stop. It is killed where it can't be taken. */
static int take(pid_t pid, const struct tracee *from, struct tracee **ret, struct crs_error *err)
{
    struct tracee *p = calloc(1, sizeof(*p));
    int r = p ? 0 : crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");

    if (p) {
        *p = (struct tracee){
            .pid = pid, .pidfd = -1, .task_pidfd = -1, .proc_fd = -1, .mem_fd = -1, .stub = true};
        r = fill(p, from, err);
    }
    if (r < 0) {
        kill_stranger(pid);
        tracee_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

/* ---- for a moment ---- */

static int check(struct tracee *t, struct crs_error *err)
{
    if (t->rehearsal || t->memory_of || t->threads[0].exited)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "process %d is of a kind that makes no other one for the tool", t->pid);
    tracee_for_each_thread (t, th)
        if (th->seccomp)
            return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP, "process %d is under seccomp",
                            t->pid);
    return 0;
}

/* Its table of descriptors is the program's as long as nothing else was said. */
static int leave_descriptors(struct tracee *child, struct crs_error *err)
{
    return REMOTE_CHECKED(tracee_main(child), NULL, err, CRS_CANT_CHECKPOINT,
                          "leave the program's descriptors", SYS_close_range, 0, ~0U,
                          2 /* CLOSE_RANGE_UNSHARE */);
}

int tracee_spawn(struct tracee *t, struct tracee **ret, struct crs_error *err)
{
    struct tracee *child = NULL;
    pid_t pid;
    int r = check(t, err);

    if (r == 0)
        r = tracee_prepare_calls(t, err);
    if (r == 0)
        r = arch_spawn(tracee_main(t), &pid, err);
    if (r < 0)
        return r;
    r = take(pid, t, &child, err);
    if (r < 0) {
        arch_spawn_ended(tracee_main(t), NULL);
        return r;
    }
    r = leave_descriptors(child, err);
    if (r < 0) {
        tracee_spawn_end(t, child, NULL);
        return r;
    }
    *ret = child;
    return 0;
}

int tracee_spawn_end(struct tracee *t, struct tracee *child, struct crs_error *err)
{
    end_process(child);
    forget(child);
    return arch_spawn_ended(tracee_main(t), err);
}

/* ---- to last ---- */

static int make_apart(struct tracee *child, bool copy, struct tracee **ret, struct crs_error *err)
{
    struct tracee *apart = NULL;
    pid_t pid;
    int r = arch_spawn_from(tracee_main(child), copy ? 0 : CLONE_VM, &pid, err);

    if (r == 0)
        r = take(pid, child, &apart, err);
    if (r == 0 && ptrace(PTRACE_SETOPTIONS, pid, 0, (void *)(long)APART_OPTIONS) < 0) {
        r = crs_fail_errno(err, CRS_FAILED, "can't set options of ptrace");
        tracee_end_apart(apart);
    }
    if (r == 0)
        *ret = apart;
    return r;
}

int tracee_spawn_apart(struct tracee *t, bool copy, struct tracee **ret, struct crs_error *err)
{
    struct tracee *child, *apart = NULL;
    int r = tracee_spawn(t, &child, err);

    if (r < 0)
        return r;
    r = make_apart(child, copy, &apart, err);
    int ended = tracee_spawn_end(t, child, r < 0 ? NULL : err);
    if (r == 0 && ended < 0) {
        tracee_end_apart(apart);
        r = ended;
    }
    if (r == 0)
        *ret = apart;
    return r;
}

void tracee_end_apart(struct tracee *apart)
{
    if (!apart)
        return;
    end_process(apart);
    forget(apart);
}
