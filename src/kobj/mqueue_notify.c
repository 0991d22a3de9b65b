/*
 * mqueue_notify.c - a process that is to be told of a message in an empty queue: mq_notify(3)
 *
 * The kernel shows who it is and the signal, but not the value that comes with it (sigev_value). So
 * it is saved where nothing can get at that value: a handler without SA_SIGINFO, or none.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "kobj/mqueue.h"

/* As rt_sigaction(2) has it. */
struct action {
    uint64_t handler, flags, restorer, mask;
};

/* ---- checkpoint ---- */

static bool has_file(const Crs__Process *process, uint32_t file)
{
    for (size_t i = 0; i < process->n_descriptors; i++)
        if (process->descriptors[i]->file == file)
            return true;
    return false;
}

/* The first of the queue's files that the process has. */
static bool is_first_of(const struct kobj_dump *ctx, const struct open_file *file,
                        const Crs__Process *process)
{
    const struct open_file *f;

    for (size_t i = file_first_place(ctx, &file->st); (f = file_at_place(ctx, i, &file->st)); i++)
        if (f->id < file->id && has_file(process, f->id))
            return false;
    return has_file(process, file->id);
}

static bool is_blocked(struct tracee *t, unsigned signal)
{
    tracee_for_each_thread (t, th)
        if (th->sigmask >> (signal - 1) & 1)
            return true;
    return false;
}

static int can_see_value(struct tracee *t, unsigned signal, bool *ret, struct crs_error *err)
{
    struct action action = {0};
    int64_t result;
    int r = tracee_call_with_block(tracee_main(t), &result, err, SYS_rt_sigaction,
                                   (const uint64_t[6]){signal, 0, 0, 8}, 2, NULL, &action,
                                   sizeof(action));

    if (r == 0)
        *ret = result < 0 || is_blocked(t, signal) ||
               (action.handler > (uint64_t)(uintptr_t)SIG_IGN && (action.flags & SA_SIGINFO));
    return r;
}

static int check(const struct open_file *file, struct tracee *t, const struct mqueue_status *status,
                 struct crs_error *err)
{
    bool visible = false;
    char reason[200];
    int r = status->signal ? can_see_value(t, status->signal, &visible, err) : 0;

    if (r < 0)
        return r;
    if (status->thread)
        return file_refuse(file, err,
                           "a thread is to be notified of its next message (mq_notify with "
                           "SIGEV_THREAD), which can't be saved",
                           "end that before the checkpoint");
    if (!visible)
        return 0;
    snprintf(reason, sizeof(reason),
             "process %d is to be notified of its next message by signal %u (mq_notify), with a "
             "value that the kernel doesn't tell and the program could look at (SA_SIGINFO, "
             "sigwaitinfo)",
             t->pid, status->signal);
    return file_refuse(file, err, reason,
                       "end that before the checkpoint, or handle the signal without SA_SIGINFO");
}

int mqueue_save_notification(struct kobj_dump *ctx, const struct open_file *file,
                             const struct mqueue_status *status, Crs__MqueueNotification **ret,
                             struct crs_error *err)
{
    struct tracee *t = status->notified ? kobj_find_member(ctx, status->notified) : NULL;

    *ret = NULL;
    if (!t || !is_first_of(ctx, file, kobj_record_of(ctx, t))) /* another program's, or saved */
        return 0;
    int r = check(file, t, status, err);
    if (r < 0)
        return r;
    *ret = malloc(sizeof(**ret));
    if (!*ret)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__mqueue_notification__init(*ret);
    (*ret)->process = t->inner_pid;
    (*ret)->signal = status->signal;
    return 0;
}

/* ---- restart ---- */

static int ask(struct kobj_restore *ctx, const struct file_holder *holder,
               const Crs__MqueueNotification *n, struct crs_error *err)
{
    struct sigevent event = {.sigev_notify = n->signal ? SIGEV_SIGNAL : SIGEV_NONE,
                             .sigev_signo = (int)n->signal};
    int64_t result;

    file_enter(ctx, holder);
    int r =
        tracee_call_with_block(tracee_main(ctx->t), &result, err, SYS_mq_notify,
                               (const uint64_t[6]){holder->fd, 0}, 1, &event, NULL, sizeof(event));
    if (r < 0 || result == 0)
        return r;
    return crs_fail(err, CRS_CANT_RESTART, (int)-result,
                    "process %u can't be notified of a message again: %s", n->process,
                    strerror((int)-result));
}

int mqueue_notify(struct kobj_restore *ctx, const Crs__OpenFile *record,
                  const Crs__MqueueNotification *n, struct crs_error *err)
{
    size_t count;
    const struct file_holder *holders = file_holders_of(ctx, record->id, &count);

    for (size_t i = 0; i < count; i++)
        if (ctx->tree->processes[holders[i].process]->pid == n->process)
            return ask(ctx, &holders[i], n, err);
    return crs_fail(err, CRS_DAMAGED, EBADMSG,
                    "a process that isn't there is to be notified of a message");
}
