/*
 * group.c - one thread's part in a round: its callbacks, up to the checkpoint and on to their ends
 *
 * The callbacks of a group (those of thread context, or those of one thread in signal context) are
 * nested: each cr_checkpoint() runs the next one, the innermost waits at the barrier for what the
 * tool says, and then all return in turn.
 */
#include <errno.h>

#include "libcr/cri.h"
#include "libcr/futex.h"

#define EXPORTED __attribute__((visibility("default")))

/* ---- the barrier ---- */

static int result_of(uint32_t outcome)
{
    int code = __atomic_load_n(&cri_block.code, __ATOMIC_SEQ_CST);

    switch (outcome) {
    case COOPERATION_CONTINUE:
        return 0;
    case COOPERATION_RESTART:
        return cri_block.restarter > 0 ? cri_block.restarter : 1;
    case COOPERATION_OMITTED:
        return -CR_EOMITTED;
    default:
        return code > 0 ? -code : -ECANCELED;
    }
}

static void arrive(const struct cri_group *group)
{
    if (group->context == CR_THREAD_CONTEXT)
        cri_store(&cri_block.runner, COOPERATION_ARRIVED);
    else
        __atomic_fetch_add(&cri_block.arrived, 1, __ATOMIC_SEQ_CST);
}

static void barrier(struct cri_group *group)
{
    struct cri_patience patience = {0};

    arrive(group);
    while ((group->outcome = cri_load(&cri_block.outcome)) == COOPERATION_NONE)
        if (!cri_wait(&cri_block.outcome, COOPERATION_NONE, &patience))
            cri_give_up();
    group->result = result_of(group->outcome);
}

/* ---- the callbacks ---- */

static void descend(struct cri_group *group);

static bool was_saved(const struct cri_group *group)
{
    return group->outcome == COOPERATION_CONTINUE || group->outcome == COOPERATION_RESTART;
}

static bool forked(const struct cri_group *group)
{
    return group->n_forks != cri_n_forks;
}

static void run(struct cri_group *group, unsigned index)
{
    struct cri_callback callback = group->callbacks->list[index];
    struct cri_frame frame = {.up = group->frame, .index = index};
    int r;

    group->frame = &frame;
    r = callback.func(callback.arg);
    if (forked(group))
        return;
    if (!frame.called) {
        frame.called = true;
        descend(group);
    }
    group->frame = frame.up;
    if (r != 0 && was_saved(group))
        cri_change(&cri_block.callback_error, 0, (uint32_t)r);
}

/* The next callback that isn't disabled, or else the checkpoint. */
static void descend(struct cri_group *group)
{
    while (group->next > 0)
        if (group->callbacks->list[--group->next].func) {
            run(group, group->next);
            return;
        }
    barrier(group);
}

/* What the block's `abort` becomes, or 0: nothing that cr_checkpoint() knows. */
static uint32_t abort_of(int flags)
{
    uint32_t how = (uint32_t)flags & 0xffff, code = (uint32_t)flags & 0xffff0000;

    switch (how) {
    case CR_CHECKPOINT_TEMP_FAILURE:
        return COOPERATION_ABORT_TEMPORARY | code;
    case CR_CHECKPOINT_PERM_FAILURE:
        return COOPERATION_ABORT_PERMANENT | code;
    case CR_CHECKPOINT_OMIT:
        return COOPERATION_ABORT_OMIT;
    default:
        return 0;
    }
}

EXPORTED int cr_checkpoint(int flags)
{
    struct cri_group *group = cri_me.group;
    uint32_t how = abort_of(flags);

    if (!group || !group->frame || group->frame->called)
        return -CR_ENOTCB;
    if (flags != CR_CHECKPOINT_READY && how == 0)
        return -EINVAL;
    group->frame->called = true;
    if (how != 0) {
        cri_change(&cri_block.abort, 0, how);
        group->next = 0;
    }
    descend(group);
    return group->result;
}

/* ---- the whole ---- */

static void finish(const struct cri_group *group)
{
    if (group->context == CR_THREAD_CONTEXT)
        cri_store(&cri_block.runner, COOPERATION_FINISHED);
    else
        __atomic_fetch_add(&cri_block.finished, 1, __ATOMIC_SEQ_CST);
    cri_round_finish();
}

/* A request that has failed already runs no callbacks. */
static unsigned first(const struct cri_callbacks *callbacks)
{
    if (!callbacks || cri_load(&cri_block.outcome) != COOPERATION_NONE)
        return 0;
    return callbacks->count;
}

void cri_group_run(struct cri_callbacks *callbacks, int context, bool own_thread)
{
    struct cri_group group = {.callbacks = callbacks,
                              .next = first(callbacks),
                              .context = context,
                              .errnum = errno,
                              .rounds = cri_load(&cri_block.rounds),
                              .n_forks = cri_n_forks};

    if (own_thread)
        cri_me.group = &group;
    descend(&group);
    if (!forked(&group)) {
        if (context == CR_THREAD_CONTEXT && group.outcome == COOPERATION_RESTART)
            cri_runner_restarted();
        if (own_thread)
            cri_hook_run(&group);
    }
    if (!forked(&group)) {
        if (own_thread)
            cri_me.group = NULL;
        finish(&group);
        cri_hold(&group, own_thread);
    }
    errno = group.errnum;
}

/* A callback has ended its thread: the others don't wait for it. */
void cri_group_abandon(void)
{
    struct cri_group *group = cri_me.group;

    if (!group || forked(group))
        return;
    cri_me.group = NULL;
    if (group->outcome == COOPERATION_NONE)
        barrier(group);
    finish(group);
}
