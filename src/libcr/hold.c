/*
 * hold.c - threads that wait, after their callbacks, for the end of all others'
 *
 * A held thread may have what a callback waits for, a lock of the C library's for one. So nobody is
 * held for long.
 */
#include <errno.h>

#include "libcr/cri.h"
#include "libcr/futex.h"

#define EXPORTED __attribute__((visibility("default")))

static uint32_t of_init = CR_HOLD_BOTH, of_others = CR_HOLD_BOTH;
static uint32_t n_threads; /* with a wish of their own to be held */

static bool wishes(int hold)
{
    return hold == CR_HOLD_CONT || hold == CR_HOLD_RSTRT || hold == CR_HOLD_BOTH;
}

bool cri_hold_wants_threads(void)
{
    return cri_load(&of_init) != CR_HOLD_NONE || cri_load(&of_others) != CR_HOLD_NONE ||
           cri_load(&n_threads) > 0;
}

static int set_own(int hold)
{
    int before = cri_me.hold;

    if (hold != CR_HOLD_READ) {
        __atomic_fetch_add(&n_threads, (uint32_t)(wishes(hold) - wishes(before)), __ATOMIC_SEQ_CST);
        cri_me.hold = hold;
    }
    return before;
}

static int set_shared(uint32_t *word, int hold)
{
    if (hold == CR_HOLD_READ)
        return (int)cri_load(word);
    return (int)__atomic_exchange_n(word, (uint32_t)hold, __ATOMIC_SEQ_CST);
}

static int set(int scope, int flags)
{
    if (scope == CR_HOLD_SCOPE_THREAD)
        return set_own(flags);
    return set_shared(scope == CR_HOLD_SCOPE_INIT ? &of_init : &of_others, flags);
}

/* In a callback the tool has read the wishes; who holds whom is asked at the end of it. */
EXPORTED int cr_hold_ctrl(int scope, int flags)
{
    int max = scope == CR_HOLD_SCOPE_THREAD ? CR_HOLD_DFLT : CR_HOLD_BOTH;
    int before;

    if (cri_need_init() < 0)
        return -1;
    if (scope < CR_HOLD_SCOPE_THREAD || scope > CR_HOLD_SCOPE_UNINIT || flags < CR_HOLD_READ ||
        flags > max) {
        errno = EINVAL;
        return -1;
    }
    if (cri_me.group || flags == CR_HOLD_READ)
        return set(scope, flags);
    cri_section_begin();
    before = set(scope, flags);
    cri_wishes_update();
    cri_section_end();
    return before;
}

static bool is_held(const struct cri_group *group, bool own_thread)
{
    int when = group->outcome == COOPERATION_RESTART ? CR_HOLD_RSTRT : CR_HOLD_CONT;
    int hold = CR_HOLD_DFLT;

    if (group->context == CR_THREAD_CONTEXT)
        return false;
    if (!own_thread || !cri_me.initialized)
        hold = (int)cri_load(&of_others);
    else if (cri_me.hold != CR_HOLD_DFLT)
        hold = cri_me.hold;
    else
        hold = (int)cri_load(&of_init);
    return hold & when;
}

void cri_hold(const struct cri_group *group, bool own_thread)
{
    unsigned n_looks = 0;

    if (!is_held(group, own_thread))
        return;
    while (cri_load(&cri_block.rounds) == group->rounds && n_looks < CRI_LOOKS_HELD)
        n_looks += cri_futex_wait(&cri_block.rounds, group->rounds, CRI_LOOK_MS) == -ETIMEDOUT;
    if (cri_load(&cri_block.rounds) != group->rounds)
        cri_round_wait_for_stop();
}

void cri_hold_thread_ends(void)
{
    set_own(CR_HOLD_DFLT);
}

void cri_hold_forked(void)
{
    cri_store(&of_init, CR_HOLD_BOTH);
    cri_store(&of_others, CR_HOLD_BOTH);
    cri_store(&n_threads, 0);
}
