/* stub_end.c - stubs of processes that have ended or are stopped */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "engine/stub.h"

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif
#define STOP_TIME_US (30 * 1000000)

/* ---- ends ---- */

/* Let it run until it has ended; a signal that it meets is delivered. */
static int run_to_end(struct tracee *t, struct crs_error *err)
{
    int status, signal = 0;

    for (;;) {
        if (ptrace(PTRACE_CONT, t->pid, 0, (void *)(long)signal) < 0 && errno != ESRCH)
            return crs_fail_errno(err, CRS_FAILED, "can't let process %d end", t->pid);
        int r = tracee_wait(t->pid, now_us() + STOP_TIME_US, &status);
        if (r < 0)
            return crs_fail(err, CRS_FAILED, -r, "process %d does not end: %s", t->pid,
                            strerror(-r));
        if (!WIFSTOPPED(status))
            break;
        signal = status >> 16 ? 0 : WSTOPSIG(status);
    }
    t->frozen = false;
    return 0;
}

/* Run into exit_group(): the call has no stop at its end. */
static int exit_with(struct tracee *t, int code, struct crs_error *err)
{
    struct crs_error gone = {0};
    int64_t result;
    int r = REMOTE(tracee_main(t), &result, &gone, SYS_exit_group, code);

    if (r != -ESRCH)
        return crs_fail(err, CRS_FAILED, r < 0 ? -r : EIO, "process %d can't end: %s", t->pid,
                        gone.text);
    t->frozen = false;
    return 0;
}

/* By the signal's default action; a process that can't be dumped leaves no core. */
static int die_of(struct tracee *t, int signal, struct crs_error *err)
{
    const uint64_t none = 0;
    int r = REMOTE_CHECKED(tracee_main(t), NULL, err, CRS_FAILED, "make it not dumpable", SYS_prctl,
                           PR_SET_DUMPABLE, 0);
    if (r < 0)
        return r;
    if (ptrace(PTRACE_SETSIGMASK, t->pid, sizeof(none), &none) < 0 || kill(t->pid, signal) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't end process %d by signal %d", t->pid, signal);
    return run_to_end(t, err);
}

int stub_end(struct tracee *t, int status, struct crs_error *err)
{
    return WIFSIGNALED(status) ? die_of(t, WTERMSIG(status), err)
                               : exit_with(t, WEXITSTATUS(status), err);
}

/* ---- stops ---- */

static int wait_for(struct tracee *t, pid_t tid, int wanted, struct crs_error *err)
{
    int status;
    int r = tracee_wait(tid, now_us() + STOP_TIME_US, &status);

    if (r < 0 || !WIFSTOPPED(status) || status >> 8 != wanted)
        return crs_fail(err, CRS_FAILED, r < 0 ? -r : EIO,
                        "thread %d of process %d can't be stopped again (status %#x)", tid, t->pid,
                        r < 0 ? 0 : status);
    return 0;
}

static int run_with(pid_t tid, int signal, struct crs_error *err)
{
    if (ptrace(PTRACE_CONT, tid, 0, (void *)(long)signal) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't let thread %d stop", tid);
    return 0;
}

/*
 * The first thread takes the signal, which makes all take part in the stop; the others are let on
 * only then, so none runs an instruction. The stop is complete with the last one.
 */
int stub_stop(struct tracee *t, struct crs_error *err)
{
    const int group_stop = SIGSTOP | PTRACE_EVENT_STOP << 8;
    pid_t first = t->threads[0].tid;

    if (kill(t->pid, SIGSTOP) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't stop process %d", t->pid);
    int r = run_with(first, 0, err);
    if (r == 0)
        r = wait_for(t, first, SIGSTOP, err);
    if (r == 0)
        r = run_with(first, SIGSTOP, err);
    if (r == 0)
        r = wait_for(t, first, group_stop, err);
    for (size_t i = 1; r == 0 && i < t->n_threads; i++) {
        r = run_with(t->threads[i].tid, 0, err);
        if (r == 0)
            r = wait_for(t, t->threads[i].tid, group_stop, err);
    }
    return r;
}
