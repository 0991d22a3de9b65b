/* members.c - processes and threads of the snapshot, found by their IDs */
#include "kobj/kobj.h"

struct tracee *kobj_find_member_inside(const struct kobj_dump *ctx, pid_t inner_pid)
{
    for (size_t i = 0; i < ctx->members.n; i++)
        if (ctx->members.items[i].t->inner_pid == inner_pid)
            return ctx->members.items[i].t;
    return NULL;
}

struct tracee_thread *kobj_find_member_thread(const struct kobj_dump *ctx, pid_t tid)
{
    for (size_t i = 0; i < ctx->members.n; i++)
        tracee_for_each_thread (ctx->members.items[i].t, th)
            if (th->tid == tid)
                return th;
    return NULL;
}

pid_t kobj_member_now(const struct kobj_restore *ctx, uint32_t pid)
{
    for (size_t i = 0; i < ctx->tree->n_processes; i++)
        if (ctx->tree->processes[i]->pid == pid && ctx->stubs[i])
            return ctx->stubs[i]->pid;
    return 0;
}

static pid_t find_thread(const Crs__Process *process, const struct tracee *stub, uint32_t tid)
{
    for (size_t i = 0; stub && i < process->n_threads && i < stub->n_threads; i++)
        if (process->threads[i]->tid == tid)
            return stub->threads[i].tid;
    return 0;
}

pid_t kobj_member_thread_now(const struct kobj_restore *ctx, uint32_t tid)
{
    pid_t now = 0;

    for (size_t i = 0; now == 0 && i < ctx->tree->n_processes; i++)
        now = find_thread(ctx->tree->processes[i], ctx->stubs[i], tid);
    return now;
}
