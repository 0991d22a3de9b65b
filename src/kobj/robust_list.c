/* robust_list.c - a thread's list of robust futexes, which the kernel frees at its end */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "kobj/later.h"
#include "robust_list.pb-c.h"

static int dump_robust_list(struct kobj_dump *ctx, struct tracee_thread *thread,
                            struct bytes *ret_payload, struct crs_error *err)
{
    Crs__RobustList message = CRS__ROBUST_LIST__INIT;
    void *head = NULL;
    size_t length = 0;

    if (syscall(SYS_get_robust_list, thread->tid, &head, &length) < 0)
        return errno == ENOSYS
                   ? 0
                   : crs_fail_errno(err, CRS_CANT_CHECKPOINT,
                                    "can't read the robust list of thread %d", thread->tid);
    if (!head)
        return 0;
    message.head = (uintptr_t)head;
    message.length = length;
    return kobj_pack(&message.base, ret_payload, err);
}

static int restore_robust_list(struct kobj_restore *ctx, struct tracee_thread *thread,
                               const Crs__Thread *record, const struct bytes *payload,
                               struct crs_error *err)
{
    _cleanup_message_ Crs__RobustList *message = NULL;
    int r = kobj_unpack(&crs__robust_list__descriptor, payload, &message, err);

    if (r < 0)
        return r;
    const struct kobj_later later = {
        .call = {.number = SYS_set_robust_list, .args = {message->head, message->length}},
        .what = "set the robust list"};
    return kobj_call_later(ctx, thread, &later, err);
}

const struct kobj_thread_kind kobj_robust_list = {
    .name = "robust_list",
    .title = "robust futexes",
    .saved = "yes",
    .dump = dump_robust_list,
    .restore = restore_robust_list,
};
