/* later.c - calls of a restored thread, made together */
#include <stdlib.h>
#include <string.h>

#include "kobj/later.h"

#define MAX_CALLS 32

/* The calls of one thread; its blocks are at the same places as in its scratch memory. */
struct kobj_later_list {
    size_t n, size; /* of the blocks, in bytes */
    struct kobj_later items[MAX_CALLS];
    uint8_t blocks[TRACEE_SCRATCH_SIZE];
};

static size_t round_up(size_t size)
{
    return (size + 15) & ~(size_t)15;
}

static int look_at(struct kobj_restore *ctx, struct tracee_thread *thread,
                   const struct kobj_later *later, struct crs_error *err)
{
    if (later->outcome)
        return later->outcome(ctx, thread, later, err);
    if (!kobj_call_failed(later->call.result))
        return 0;
    return crs_fail(err, CRS_CANT_RESTART, -later->call.result, "can't %s in process %d: %s",
                    later->what, thread->owner->pid, strerror(-later->call.result));
}

static int make_all(struct tracee_thread *thread, struct kobj_later_list *list,
                    struct crs_error *err)
{
    struct remote_call calls[MAX_CALLS];
    struct tracee *t = thread->owner;
    int r = 0;

    for (size_t i = 0; i < list->n; i++)
        calls[i] = list->items[i].call;
    if (list->size > 0)
        r = tracee_write(t, t->scratch, list->blocks, list->size, err);
    if (r == 0)
        r = tracee_calls(thread, calls, list->n, err);
    for (size_t i = 0; r == 0 && i < list->n; i++)
        list->items[i].call.result = calls[i].result;
    return r;
}

int kobj_make_calls(struct kobj_restore *ctx, struct tracee_thread *thread, uint32_t tid,
                    struct crs_error *err)
{
    struct kobj_later_list *list = ctx->later;

    if (!list || list->n == 0)
        return 0;
    int r = make_all(thread, list, err);
    for (size_t i = 0; r == 0 && i < list->n; i++) {
        r = look_at(ctx, thread, &list->items[i], err);
        if (r < 0)
            crs_fail_at(err, r, "%s of thread %u", list->items[i].title, tid);
    }
    list->n = list->size = 0;
    return r;
}

int kobj_call_later(struct kobj_restore *ctx, struct tracee_thread *thread,
                    const struct kobj_later *later, struct crs_error *err)
{
    int r = kobj_need_scratch(thread, err);

    if (r < 0)
        return r;
    if (!ctx->later)
        ctx->later = calloc(1, sizeof(*ctx->later));
    struct kobj_later_list *list = ctx->later;
    if (!list)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (list->n == MAX_CALLS || list->size + round_up(later->block_size) > sizeof(list->blocks))
        return crs_fail(err, CRS_FAILED, E2BIG, "too many calls to be made together");
    struct kobj_later *item = &list->items[list->n++];
    *item = *later;
    item->title = ctx->later_title;
    if (!later->block)
        return 0;
    item->call.args[later->block_arg] = thread->owner->scratch + list->size;
    item->block = memcpy(list->blocks + list->size, later->block, later->block_size);
    list->size += round_up(later->block_size);
    return 0;
}

void kobj_later_free(struct kobj_restore *ctx)
{
    free(ctx->later);
    ctx->later = NULL;
}
