/*
 * entry.c - what the tool makes each thread run, as a signal handler is run
 *
 * Nothing is known of the thread: it may be any code's, in the middle of anything. A thread that
 * was made by clone(2) without storage of its own shares `cri_me` with the thread that made it, so
 * it only takes part in the waiting.
 */
#include "base/cooperation_return.h"
#include "libcr/cri.h"

void cri_entry(struct cooperation *block, siginfo_t *info, void *context)
{
    bool own = cri_thread_is_own();
    bool callbacks = own && cri_me.initialized && cri_me.signal_callbacks.count > 0;

    if (block == &cri_block && cri_round_join(own))
        cri_group_run(callbacks ? &cri_me.signal_callbacks : NULL,
                      callbacks ? CR_SIGNAL_CONTEXT : 0, own);
    cooperation_return(info, context);
}

/* Where entry returns to: what the thread was doing is put back. */
COOPERATION_RESTORER(cri_restorer);
