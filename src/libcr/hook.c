/*
 * hook.c - functions that each thread runs after its callbacks
 */
#include <errno.h>

#include "libcr/cri.h"

#define EXPORTED __attribute__((visibility("default")))

static cr_hook_fn_t hooks[CR_NUM_HOOKS];

static cr_hook_fn_t hook(cr_hook_event_t event)
{
    return __atomic_load_n(&hooks[event], __ATOMIC_SEQ_CST);
}

EXPORTED cr_hook_fn_t cr_register_hook(cr_hook_event_t event, cr_hook_fn_t func)
{
    cr_hook_fn_t before;

    if (cri_need_init() < 0)
        return CR_HOOK_FN_ERROR;
    if ((unsigned)event >= CR_NUM_HOOKS || cri_me.group) {
        errno = cri_me.group ? EBUSY : EINVAL;
        return CR_HOOK_FN_ERROR;
    }
    cri_section_begin();
    before = __atomic_exchange_n(&hooks[event], func, __ATOMIC_SEQ_CST);
    cri_wishes_update();
    cri_section_end();
    return before;
}

/* Those of other threads come with their callbacks, for which the threads are wanted anyway. */
bool cri_hooks_want_threads(void)
{
    return hook(CR_HOOK_CONT_NO_CALLBACKS) || hook(CR_HOOK_RSTRT_NO_CALLBACKS);
}

void cri_hook_run(const struct cri_group *group)
{
    bool restart = group->outcome == COOPERATION_RESTART;
    cr_hook_event_t event;
    cr_hook_fn_t func;

    if (!restart && group->outcome != COOPERATION_CONTINUE)
        return;
    if (group->context == CR_SIGNAL_CONTEXT)
        event = restart ? CR_HOOK_RSTRT_SIGNAL_CONTEXT : CR_HOOK_CONT_SIGNAL_CONTEXT;
    else if (group->context == CR_THREAD_CONTEXT)
        event = restart ? CR_HOOK_RSTRT_THREAD_CONTEXT : CR_HOOK_CONT_THREAD_CONTEXT;
    else
        event = restart ? CR_HOOK_RSTRT_NO_CALLBACKS : CR_HOOK_CONT_NO_CALLBACKS;
    func = hook(event);
    if (func)
        func(event);
}

void cri_hooks_forked(void)
{
    for (unsigned i = 0; i < CR_NUM_HOOKS; i++)
        hooks[i] = NULL;
}
