/* members.c - processes and threads of the snapshot, found by their IDs */
#include <stdlib.h>

#include "kobj/kobj.h"

static int compare_pids(const void *a, const void *b)
{
    const struct kobj_member_place *x = a, *y = b;

    return (x->pid > y->pid) - (x->pid < y->pid);
}

int kobj_members_index(struct kobj_dump *ctx, struct crs_error *err)
{
    size_t n = ctx->members.n;

    ctx->member_places = calloc(n, sizeof(*ctx->member_places));
    if (!ctx->member_places)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        ctx->member_places[i] = (struct kobj_member_place){ctx->members.items[i].t->pid, i};
    qsort(ctx->member_places, n, sizeof(*ctx->member_places), compare_pids);
    return 0;
}

static const struct kobj_member *find_member(const struct kobj_dump *ctx, pid_t pid)
{
    const struct kobj_member_place key = {.pid = pid}, *found;

    found = ctx->members.n
                ? bsearch(&key, ctx->member_places, ctx->members.n, sizeof(key), compare_pids)
                : NULL;
    return found ? &ctx->members.items[found->member] : NULL;
}

struct tracee *kobj_find_member(const struct kobj_dump *ctx, pid_t pid)
{
    const struct kobj_member *member = find_member(ctx, pid);

    return member ? member->t : NULL;
}

const struct kobj_member *kobj_member_of(const struct kobj_dump *ctx, const struct tracee *t)
{
    const struct kobj_member *member = find_member(ctx, t->pid);

    return member && member->t == t ? member : NULL;
}

const Crs__Process *kobj_record_of(const struct kobj_dump *ctx, const struct tracee *t)
{
    const struct kobj_member *member = kobj_member_of(ctx, t);

    return member ? member->record : NULL;
}

bool kobj_saves(const struct kobj_dump *ctx, enum kobj_shared what)
{
    const struct kobj_member *member = kobj_member_of(ctx, ctx->t);

    return !member || &ctx->members.items[member->first[what]] == member;
}

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
