/* standstill.c - SIGSTOP for processes that are held by ptrace, taken away again */
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kobj/standstill.h"

static void send_all(const int *pidfds, size_t n, int signal)
{
    for (size_t i = 0; i < n; i++)
        syscall(SYS_pidfd_send_signal, pidfds[i], signal, NULL, 0);
}

static void let_go(const int *pidfds, size_t n)
{
    send_all(pidfds, n, SIGCONT);
}

static int add(struct standstill *s, struct tracee *t, struct crs_error *err)
{
    if (t->group_stopped)
        return 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->processes[i] == t)
            return 0;
    if (s->n == WATCHER_FDS)
        return crs_fail(err, CRS_CANT_CHECKPOINT, E2BIG,
                        "data on their way in a connection can't be read while more than %d "
                        "processes could touch it; try again",
                        WATCHER_FDS);
    s->processes[s->n++] = t;
    return 0;
}

int standstill_begin(struct kobj_dump *ctx, struct standstill *s, struct crs_error *err)
{
    int pidfds[WATCHER_FDS], r = 0;

    *s = (struct standstill){.watcher = WATCHER_NONE};
    for (size_t i = 0; r == 0 && i < ctx->files.n; i++)
        r = add(s, ctx->files.items[i].holder, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < s->n; i++)
        pidfds[i] = s->processes[i]->pidfd;
    r = watcher_start(pidfds, s->n, let_go, &s->watcher);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't start a process: %s", strerror(-r));
    send_all(pidfds, s->n, SIGSTOP);
    return 0;
}

/* The signal is met by the next call that a thread runs, and kept for the thaw: not this one. */
static int swallow(struct tracee *t, struct crs_error *err)
{
    bool before = t->stop_arrived;
    int64_t pid;
    int r = REMOTE(tracee_main(t), &pid, err, SYS_getpid);

    t->stop_arrived = before;
    return r;
}

int standstill_end(struct standstill *s, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < s->n; i++)
        r = swallow(s->processes[i], err);
    if (r == 0)
        watcher_dismiss(&s->watcher);
    else
        watcher_release(&s->watcher);
    return r;
}
