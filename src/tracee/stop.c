/* stop.c - the stop that a thread was told to make */
#include "tracee/stop.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "tracee/reaped.h"
#include "tracee/task.h"

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif
#define LOOKS         20 /* before a wait without a limit sleeps: most end at once */
#define N_YIELDS      50
#define LONG_YIELD_US 300
#define BUSY_US       1000000

/* -EAGAIN: it has nothing to tell. */
static int wait_once(pid_t tid, int options, int *ret_status)
{
    pid_t r = waitpid(tid, ret_status, __WALL | __WNOTHREAD | options);

    if (r == tid && !WIFSTOPPED(*ret_status))
        tracee_note_end(tid, *ret_status);
    if (r == tid)
        return 0;
    return r < 0 && errno != EINTR ? -errno : -EAGAIN;
}

void stop_sleep(unsigned us)
{
    int slack_ns = prctl(PR_GET_TIMERSLACK);

    prctl(PR_SET_TIMERSLACK, 1);
    usleep(us);
    prctl(PR_SET_TIMERSLACK, slack_ns);
}

/*
 * Between two looks: the longer, the longer it takes. Where others keep the processors busy,
 * sched_yield(2) gives away what this thread has of its own (EEVDF), and it waits as long as they
 * do. So who has waited for long once sleeps for a while instead: a sleep makes room as well, and
 * who wakes gets a processor.
 */
static void nap(int turn)
{
    static _Thread_local uint64_t busy_until_us;
    uint64_t before_us = now_us();

    if (turn < N_YIELDS && before_us >= busy_until_us) {
        sched_yield();
        if (now_us() - before_us > LONG_YIELD_US)
            busy_until_us = now_us() + BUSY_US;
    } else {
        stop_sleep(turn < 100 ? 20 : turn < 500 ? 50 : 1000);
    }
}

int tracee_wait(pid_t tid, uint64_t deadline_us, int *ret_status)
{
    for (int turn = 0;; turn++) {
        bool looks = deadline_us || turn < LOOKS;
        int r = wait_once(tid, looks ? WNOHANG : 0, ret_status);
        if (r != -EAGAIN)
            return r;
        if (deadline_us && now_us() > deadline_us)
            return -ETIMEDOUT;
        if (looks)
            nap(deadline_us ? turn : 0);
    }
}

/* What a thread has told: as stop_look(). */
static int take_status(struct tracee *t, pid_t tid, int status)
{
    if (!WIFSTOPPED(status))
        return 1;
    if (status >> 16 == PTRACE_EVENT_STOP) {
        if (WSTOPSIG(status) != SIGTRAP)
            t->group_stopped = true;
        return 0;
    }
    ptrace(PTRACE_CONT, tid, 0, (void *)(long)(status >> 16 ? 0 : WSTOPSIG(status)));
    return -EAGAIN;
}

int stop_look(struct tracee *t, pid_t tid)
{
    int status, r = wait_once(tid, WNOHANG, &status);

    if (r == 0)
        return take_status(t, tid, status);
    return r == -ECHILD ? 1 : r;
}

int stop_await(struct tracee *t, pid_t tid, uint64_t deadline_us, struct crs_error *err)
{
    int r, status;

    do {
        r = tracee_wait(tid, deadline_us, &status);
        if (r == -ECHILD)
            return 1;
        if (r < 0)
            return task_explain_delay(t, tid, err);
        r = take_status(t, tid, status);
    } while (r == -EAGAIN);
    return r;
}
