/* owner.c - who gets a signal when a descriptor becomes ready: F_SETOWN_EX, F_SETSIG, O_ASYNC */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/file.h"
#include "proc/status.h"

/* The process group, as the process sees it. */
static int inner_group(struct tracee *t, pid_t *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_proc_status_ struct proc_status status = {0};
    int r = read_file(t->proc_fd, "status", 1 << 20, &text);

    if (r == 0)
        r = proc_status_parse((const char *)text.data, &status);
    if (r == 0)
        *ret = status.inner_pgid;
    return r;
}

/* The kernel tells the owner's ID as we see it; wanted is what the processes call it. */
static bool translate_in(struct tracee *t, const struct f_owner_ex *owner, pid_t *ret)
{
    if (owner->type == F_OWNER_PGRP)
        return owner->pid == getpgid(t->pid) && inner_group(t, ret) == 0;
    if (owner->type == F_OWNER_PID && owner->pid == t->pid) {
        *ret = t->inner_pid;
        return true;
    }
    tracee_for_each_thread (t, th) {
        if (owner->type == F_OWNER_TID && owner->pid == th->tid) {
            *ret = th->inner_tid;
            return true;
        }
    }
    return false;
}

/* It may be any process of the snapshot, or its group. */
static bool translate(const struct kobj_dump *ctx, const struct f_owner_ex *owner, pid_t *ret)
{
    for (size_t i = 0; i < ctx->members.n; i++)
        if (translate_in(ctx->members.items[i].t, owner, ret))
            return true;
    return false;
}

int owner_dump(struct kobj_dump *ctx, const struct open_file *file, Crs__OpenFile *record,
               struct crs_error *err)
{
    struct f_owner_ex owner = {0};
    pid_t inner;

    if (file->flags & O_PATH)
        return 0;
    int signal = fcntl(file->dup_fd, F_GETSIG);
    if (signal < 0 || fcntl(file->dup_fd, F_GETOWN_EX, &owner) < 0)
        return file_refuse_errno(file, err, "read the owner of its signals");
    record->owner_signal = signal;
    if (owner.pid == 0)
        return 0;
    if (!translate(ctx, &owner, &inner)) {
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "fd %d (%s) sends signals to process %d, which isn't saved: after a restart it "
                  "sends none",
                  file->fd, file->link, (int)owner.pid);
        return 0;
    }
    record->owner = inner;
    record->owner_type = owner.type;
    return 0;
}

/* Of one process: threads stand in the order of their records. */
static int32_t owner_in(const Crs__Process *p, const struct tracee *t, const Crs__OpenFile *record)
{
    if (record->owner_type == F_OWNER_PGRP)
        return record->owner == (int32_t)p->group ? getpgid(t->pid) : 0;
    if (record->owner_type == F_OWNER_PID)
        return record->owner == (int32_t)p->pid ? t->inner_pid : 0;
    for (size_t i = 0; i < p->n_threads && i < t->n_threads; i++)
        if (record->owner == (int32_t)p->threads[i]->tid)
            return t->threads[i].inner_tid;
    return 0;
}

/* The saved ID's counterpart now; 0: there is none. */
static int32_t owner_now(const struct kobj_restore *ctx, const Crs__OpenFile *record)
{
    int32_t owner = 0;

    for (size_t i = 0; owner <= 0 && i < ctx->tree->n_processes; i++)
        if (ctx->stubs[i])
            owner = owner_in(ctx->tree->processes[i], ctx->stubs[i], record);
    return owner;
}

static int set_owner(struct kobj_restore *ctx, const Crs__OpenFile *record, int fd,
                     struct crs_error *err)
{
    struct tracee_thread *th = tracee_main(ctx->t);
    struct f_owner_ex owner = {record->owner_type, owner_now(ctx, record)};
    int64_t result = 0;

    if (owner.pid <= 0) {
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "%s sent signals to process %d, which isn't there: it sends none", record->name,
                  record->owner);
        return 0;
    }
    int r =
        tracee_call_with_block(th, &result, err, SYS_fcntl, (const uint64_t[6]){fd, F_SETOWN_EX, 0},
                               2, &owner, NULL, sizeof(owner));
    if (r == 0 && result < 0)
        return crs_fail(err, CRS_CANT_RESTART, -result, "can't set the owner of %s: %s",
                        record->name, strerror(-result));
    return r;
}

int owner_restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int fd,
                  struct crs_error *err)
{
    struct tracee_thread *th = tracee_main(ctx->t);
    int r = 0;

    if (record->owner)
        r = set_owner(ctx, record, fd, err);
    if (r == 0 && record->owner_signal)
        r = REMOTE_CHECKED(th, NULL, err, CRS_CANT_RESTART, "set the signal of a descriptor",
                           SYS_fcntl, fd, F_SETSIG, record->owner_signal);
    if (r == 0 && (record->flags & O_ASYNC))
        r = REMOTE_CHECKED(th, NULL, err, CRS_CANT_RESTART, "set O_ASYNC", SYS_fcntl, fd, F_SETFL,
                           record->flags &
                               (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | O_ASYNC));
    return r;
}
