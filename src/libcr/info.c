/*
 * info.c - what a callback may ask of its request: who, where to; and for more processes
 */
#include <errno.h>

#include "libcr/cri.h"
#include "libcr/futex.h"

#define EXPORTED __attribute__((visibility("default")))

static bool before_checkpoint(void)
{
    return cri_me.group && cri_me.group->frame && !cri_me.group->frame->called;
}

EXPORTED const struct cr_checkpoint_info *cr_get_checkpoint_info(void)
{
    if (!before_checkpoint())
        return NULL;
    cri_me.checkpoint_info = (struct cr_checkpoint_info){
        .signal = cri_block.signal,
        .dest = cri_block.destination,
        .requester = cri_block.requester,
        .target = cri_block.target,
        .scope = (cr_scope_t)cri_block.scope,
    };
    return &cri_me.checkpoint_info;
}

EXPORTED const struct cr_restart_info *cr_get_restart_info(void)
{
    const struct cri_group *group = cri_me.group;

    if (!group || !group->frame || !group->frame->called || group->outcome != COOPERATION_RESTART)
        return NULL;
    cri_me.restart_info = (struct cr_restart_info){
        .requester = cri_block.restarter,
        .src = cri_block.source,
    };
    return &cri_me.restart_info;
}

/* ---- forwarding: the tool answers one callback of the process at a time ---- */

static uint32_t asking;

static int ask(cr_scope_t scope, pid_t target)
{
    struct cri_patience patience = {0};

    cri_block.forward_scope = scope;
    cri_block.forward_target = target;
    cri_store(&cri_block.forward, COOPERATION_FORWARD_ASKED);
    while (cri_load(&cri_block.forward) == COOPERATION_FORWARD_ASKED) {
        if (cri_load(&cri_block.outcome) != COOPERATION_NONE)
            return ECANCELED;
        if (!cri_wait(&cri_block.forward, COOPERATION_FORWARD_ASKED, &patience))
            cri_give_up();
    }
    return __atomic_load_n(&cri_block.forward_result, __ATOMIC_SEQ_CST);
}

EXPORTED int cr_forward_checkpoint(cr_scope_t scope, pid_t target)
{
    int r = 0;

    if (!before_checkpoint())
        r = CR_ENOTCB;
    else if ((unsigned)scope > CR_SCOPE_TREE || target < 0)
        r = EINVAL;
    if (r == 0) {
        while (!cri_change(&asking, 0, 1))
            cri_futex_wait(&asking, 1, CRI_LOOK_MS);
        r = ask(scope, target);
        cri_store(&cri_block.forward, COOPERATION_FORWARD_NONE);
        cri_store(&asking, 0);
        cri_futex_wake(&asking);
    }
    if (r != 0)
        errno = r;
    return r == 0 ? 0 : -1;
}

void cri_forward_forked(void)
{
    cri_store(&asking, 0);
}
