/* standstill.c - SIGSTOP for processes that are held by ptrace, taken away again */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kobj/file.h"
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

/* Which open files are meant, by their IDs. */
struct wanted {
    ARRAY_OF(uint32_t) ids;
    bool in_flight; /* one of them is on its way to whoever takes it */
};

static int find_wanted(const struct kobj_dump *ctx, const int *fds, size_t n, struct wanted *w,
                       struct crs_error *err)
{
    const struct open_file *file;
    struct stat st;

    for (size_t i = 0; i < n; i++) {
        if (fstat(fds[i], &st) < 0)
            return crs_fail_errno(err, CRS_FAILED, "can't look at a descriptor");
        for (size_t k = file_first_place(ctx, &st); (file = file_at_place(ctx, k, &st)); k++) {
            uint32_t *id = ARRAY_ADD(&w->ids);
            if (!id)
                return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
            *id = file->id;
            w->in_flight |= file->in_flight;
        }
    }
    return 0;
}

/* One without descriptors in its record may have those of another process. */
static bool may_touch(const struct kobj_member *member, const struct wanted *w)
{
    const Crs__Process *p = member->record;

    if (w->in_flight || !p || p->n_descriptors == 0)
        return true;
    for (size_t i = 0; i < p->n_descriptors; i++)
        for (size_t k = 0; k < w->ids.n; k++)
            if (p->descriptors[i]->file == w->ids.items[k])
                return true;
    return false;
}

static int find_processes(struct kobj_dump *ctx, const int *fds, size_t n, struct standstill *s,
                          struct crs_error *err)
{
    struct wanted w = {0};
    int r = find_wanted(ctx, fds, n, &w, err);

    for (size_t i = 0; r == 0 && i < ctx->members.n; i++) {
        const struct kobj_member *member = &ctx->members.items[i];
        if (member->t->group_stopped || !may_touch(member, &w))
            continue;
        struct tracee **place = ARRAY_ADD(&s->processes);
        if (place)
            *place = member->t;
        else
            r = crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    free(w.ids.items);
    return r;
}

static int start(struct standstill *s, struct crs_error *err)
{
    size_t n = s->processes.n;
    _cleanup_free_ int *pidfds = calloc(n + 1, sizeof(*pidfds));

    if (!pidfds)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        pidfds[i] = s->processes.items[i]->pidfd;
    int r = watcher_start(pidfds, n, let_go, &s->watcher);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't start a process: %s", strerror(-r));
    send_all(pidfds, n, SIGSTOP);
    return 0;
}

int standstill_begin(struct kobj_dump *ctx, const int *fds, size_t n_fds, struct standstill *s,
                     struct crs_error *err)
{
    *s = (struct standstill){.watcher = WATCHER_NONE};
    int r = find_processes(ctx, fds, n_fds, s, err);

    if (r == 0)
        r = start(s, err);
    if (r < 0)
        free(TAKE_PTR(s->processes.items));
    return r;
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

    for (size_t i = 0; r == 0 && i < s->processes.n; i++)
        r = swallow(s->processes.items[i], err);
    if (r == 0)
        watcher_dismiss(&s->watcher);
    else
        watcher_release(&s->watcher);
    free(TAKE_PTR(s->processes.items));
    return r;
}
