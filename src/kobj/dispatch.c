/*
 * dispatch.c - threads that intercept their own system calls (PR_SET_SYSCALL_USER_DISPATCH)
 *
 * Kernels before 6.4 tell nobody who does.
 */
#include <sys/ptrace.h>

#include "kobj/attributes.h"
#include "kobj/dispatch.h"

#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif

/* As ptrace(2) fills it in. */
struct configuration {
    uint64_t mode, selector, offset, length;
};

static int check(struct tracee_thread *thread, struct crs_error *err)
{
    struct configuration c = {0};

    if (ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, thread->tid, sizeof(c), &c) < 0 ||
        c.mode == 0)
        return 0;
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "thread %d of process %d intercepts its own system calls "
                    "(PR_SET_SYSCALL_USER_DISPATCH), and would intercept those of a checkpoint: "
                    "that can't be saved; let it end that before the checkpoint",
                    thread->tid, thread->owner->pid);
}

int kobj_dispatch_check(struct tracee *t, struct crs_error *err)
{
    int r = 0;

    tracee_for_each_thread (t, thread) {
        if (r == 0)
            r = check(thread, err);
    }
    return r;
}

static int dump_dispatch(struct kobj_dump *ctx, struct tracee_thread *thread,
                         struct bytes *ret_payload, struct crs_error *err)
{
    return check(thread, err);
}

const struct kobj_thread_kind kobj_dispatch = {
    .name = "dispatch",
    .title = "interception of its own system calls (PR_SET_SYSCALL_USER_DISPATCH)",
    .saved = "refused",
    .conditions = "kernels before 6.4 don't tell who does",
    .dump = dump_dispatch,
};
