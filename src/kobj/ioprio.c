/* ioprio.c - the I/O priority of a thread */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "ioprio.pb-c.h"
#include "kobj/attributes.h"

#define WHO_PROCESS 1 /* IOPRIO_WHO_PROCESS: one thread */
#define CLASS(v)    ((v) >> 13)

static int dump_ioprio(struct kobj_dump *ctx, struct tracee_thread *thread,
                       struct bytes *ret_payload, struct crs_error *err)
{
    Crs__Ioprio message = CRS__IOPRIO__INIT;
    long value = syscall(SYS_ioprio_get, WHO_PROCESS, thread->tid);

    if (value < 0)
        return errno == ENOSYS
                   ? 0
                   : crs_fail_errno(err, CRS_CANT_CHECKPOINT,
                                    "can't read the I/O priority of thread %d", thread->tid);
    message.value = CLASS(value) ? value : 0;
    return kobj_pack(&message.base, ret_payload, err);
}

static int restore_ioprio(struct kobj_restore *ctx, struct tracee_thread *thread,
                          const Crs__Thread *record, const struct bytes *payload,
                          struct crs_error *err)
{
    _cleanup_message_ Crs__Ioprio *message = NULL;
    int r = kobj_unpack(&crs__ioprio__descriptor, payload, &message, err);
    long current = syscall(SYS_ioprio_get, WHO_PROCESS, thread->tid);

    if (r < 0 || message->value == (current < 0 || !CLASS(current) ? 0 : current))
        return r;
    if (syscall(SYS_ioprio_set, WHO_PROCESS, thread->tid, message->value) < 0)
        KOBJ_WARN(ctx, "the I/O priority of thread %u (class %u) can't be set here: %s",
                  record->tid, CLASS(message->value), strerror(errno));
    return 0;
}

const struct kobj_thread_kind kobj_ioprio = {
    .name = "ioprio",
    .title = "I/O priority",
    .saved = "yes",
    .privilege = "CAP_SYS_NICE for the real-time class",
    .dump = dump_ioprio,
    .restore = restore_ioprio,
};
