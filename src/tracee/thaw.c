/* thaw.c - let a held process go as it was */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "tracee/rehearsal.h"
#include "tracee/task.h"

#define STOP_TIME_US 1000000
#define END_TIME_US  1000000

struct tracee_thread *tracee_main(struct tracee *t)
{
    tracee_for_each_thread (t, th)
        return th;
    return &t->threads[0];
}

void tracee_await_stop(struct tracee *t)
{
    uint64_t until = now_us() + STOP_TIME_US;
    unsigned long flags;
    char state;
    int cpu;

    tracee_for_each_thread (t, th) {
        while (task_stat(t->proc_fd, th->tid, &state, &flags, &cpu) == 0 &&
               !strchr("TtZX", state) && now_us() < until)
            usleep(100);
    }
}

/* A thread that was let go before has ended the others, by its exec or exit: it waits until they
 * are gone, and a thread that is traced is so only when its tracer has seen its end. */
static void see_its_end(const struct tracee *t, const struct tracee_thread *th)
{
    int status;

    if (th->tid != t->pid)
        tracee_wait(th->tid, now_us() + END_TIME_US, &status);
}

int tracee_outlive(struct tracee *t, bool last, struct crs_error *err)
{
    if (!t->frozen)
        return 0;
    tracee_for_each_thread (t, th) {
        if ((th == tracee_main(t)) == last &&
            ptrace(PTRACE_SETOPTIONS, th->tid, 0, (void *)(long)PTRACE_O_TRACESYSGOOD) < 0 &&
            errno != ESRCH)
            return crs_fail_errno(err, CRS_FAILED, "can't choose what becomes of thread %d",
                                  th->tid);
    }
    return 0;
}

int tracee_thaw(struct tracee *t, bool stopped, struct crs_error *err)
{
    int r = 0;

    if (!t->frozen)
        return 0;
    tracee_undo_all(t, err);
    /* Sent while all stand still: it takes effect before any of them runs an instruction. */
    if (stopped || t->stop_arrived)
        syscall(SYS_pidfd_send_signal, t->pidfd, SIGSTOP, NULL, 0);
    tracee_for_each_thread (t, th) {
        if (ptrace(PTRACE_DETACH, th->tid, 0, 0) == 0)
            continue;
        if (errno != ESRCH) {
            r = crs_fail_errno(err, CRS_FAILED, "can't let thread %d go", th->tid);
            continue;
        }
        t->killed = !t->lost;
        if (!t->lost)
            see_its_end(t, th);
    }
    t->frozen = false;
    if (stopped || t->stop_arrived)
        tracee_await_stop(t);
    return r;
}

void tracee_free(struct tracee *t)
{
    if (!t)
        return;
    tracee_thaw(t, false, NULL);
    for (size_t i = 0; i < t->n_threads; i++) {
        bytes_clear(&t->threads[i].xstate);
        bytes_clear(&t->threads[i].stat);
        free(t->threads[i].answers);
        tracee_forget_status(&t->threads[i]);
    }
    free(t->threads);
    if (!t->memory_of)
        arch_calls_free(t->calls);
    rehearsal_free(t->rehearsal);
    cleanup_close(&t->pidfd);
    cleanup_close(&t->task_pidfd);
    cleanup_close(&t->proc_fd);
    cleanup_close(&t->mem_fd);
    free(t);
}
