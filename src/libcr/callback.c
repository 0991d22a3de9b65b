/*
 * callback.c - the tables of callbacks
 *
 * Changed inside of a critical section only, so never while callbacks run, but for
 * cr_replace_self(), which changes the running one's own row.
 */
#include <errno.h>
#include <stdlib.h>

#include "libcr/cri.h"
#include "libcr/futex.h"

#define EXPORTED __attribute__((visibility("default")))

struct cri_callbacks cri_thread_callbacks;

/* How many are not disabled, in all threads. */
static uint32_t n_live_thread, n_live_signal;

static uint32_t *live(int context)
{
    return context == CR_THREAD_CONTEXT ? &n_live_thread : &n_live_signal;
}

static struct cri_callbacks *table(int context)
{
    return context == CR_THREAD_CONTEXT ? &cri_thread_callbacks : &cri_me.signal_callbacks;
}

static bool is_context(int flags)
{
    return flags == CR_THREAD_CONTEXT || flags == CR_SIGNAL_CONTEXT;
}

/* Threads are wanted for their own callbacks and hooks, and where they are held until the runner's
 * callbacks have ended. Without callbacks of thread context the runner is not in the way. */
void cri_wishes_update(void)
{
    bool runner = cri_load(&n_live_thread) > 0;
    bool threads = cri_load(&n_live_signal) > 0 || cri_hooks_want_threads() ||
                   (runner && cri_hold_wants_threads());

    __atomic_store_n(&cri_block.runner_tid, runner ? cri_runner_tid() : 0, __ATOMIC_SEQ_CST);
    if (threads)
        __atomic_fetch_or(&cri_block.flags, COOPERATION_WANTS_THREADS, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_and(&cri_block.flags, ~COOPERATION_WANTS_THREADS, __ATOMIC_SEQ_CST);
}

static void set(struct cri_callback *callback, int context, cr_callback_t func, void *arg)
{
    if (callback->func && !func)
        __atomic_fetch_sub(live(context), 1, __ATOMIC_SEQ_CST);
    if (!callback->func && func)
        __atomic_fetch_add(live(context), 1, __ATOMIC_SEQ_CST);
    callback->func = func;
    callback->arg = arg;
}

/* 0 or an errno value. */
static int make_room(struct cri_callbacks *callbacks)
{
    unsigned room = callbacks->room ? 2 * callbacks->room : 8;
    struct cri_callback *list;

    if (callbacks->count >= CR_MAX_CALLBACKS)
        return ENOSPC;
    if (callbacks->count < callbacks->room)
        return 0;
    list = realloc(callbacks->list, room * sizeof(*list));
    if (!list)
        return ENOMEM;
    callbacks->list = list;
    callbacks->room = room;
    return 0;
}

/* 0 or an errno value; inside of a critical section. */
static int add(cr_callback_t func, void *arg, int context, unsigned *ret_index)
{
    struct cri_callbacks *callbacks = table(context);
    int r = make_room(callbacks);

    if (r == 0 && context == CR_THREAD_CONTEXT)
        r = cri_runner_start();
    if (r != 0)
        return r;
    *ret_index = callbacks->count;
    callbacks->list[callbacks->count].func = NULL;
    set(&callbacks->list[callbacks->count], context, func, arg);
    callbacks->count++;
    cri_wishes_update();
    return 0;
}

static int fail(int errnum)
{
    errno = errnum;
    return -1;
}

EXPORTED cr_callback_id_t cr_register_callback(cr_callback_t func, void *arg, int flags)
{
    unsigned index = 0;
    int r;

    if (cri_need_init() < 0)
        return -1;
    if (cri_me.group)
        return fail(EBUSY);
    if (!is_context(flags) || !func)
        return fail(EINVAL);
    cri_section_begin();
    r = add(func, arg, flags, &index);
    cri_section_end();
    return r == 0 ? (cr_callback_id_t)index | flags : fail(r);
}

EXPORTED int cr_replace_callback(cr_callback_id_t id, cr_callback_t func, void *arg, int flags)
{
    unsigned index = (unsigned)id & CR_MAX_CALLBACKS;
    bool known;

    if (cri_need_init() < 0)
        return -1;
    if (cri_me.group)
        return fail(EBUSY);
    if (id < 0 || !is_context(flags) ||
        ((unsigned)id & ~(unsigned)CR_MAX_CALLBACKS) != (unsigned)flags)
        return fail(EINVAL);
    cri_section_begin();
    known = index < table(flags)->count;
    if (known) {
        set(&table(flags)->list[index], flags, func, arg);
        cri_wishes_update();
    }
    cri_section_end();
    return known ? 0 : fail(EINVAL);
}

/* The wishes of the block stay as they are until the round ends, which asks for them. */
EXPORTED int cr_replace_self(cr_callback_t func, void *arg, int flags)
{
    struct cri_group *group = cri_me.group;

    if (!group || !group->frame)
        return fail(CR_ENOTCB);
    if (flags != group->context)
        return fail(EINVAL);
    set(&group->callbacks->list[group->frame->index], flags, func, arg);
    return 0;
}

void cri_signal_callbacks_drop(void)
{
    struct cri_callbacks *callbacks = &cri_me.signal_callbacks;

    for (unsigned i = 0; i < callbacks->count; i++)
        set(&callbacks->list[i], CR_SIGNAL_CONTEXT, NULL, NULL);
    free(callbacks->list);
    *callbacks = (struct cri_callbacks){0};
}

void cri_callbacks_forked(void)
{
    cri_thread_callbacks.count = 0;
    cri_store(&n_live_thread, 0);
    cri_store(&n_live_signal, 0);
}
