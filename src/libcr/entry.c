/*
 * entry.c - what the tool makes each thread run, as a signal handler is run
 *
 * Nothing is known of the thread: it may be any code's, in the middle of anything. A thread that
 * was made by clone(2) without storage of its own shares `cri_me` with the thread that made it, so
 * it only takes part in the waiting.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "libcr/cri.h"

void cri_entry(struct cooperation *block)
{
    bool own = cri_thread_is_own();
    bool callbacks = own && cri_me.initialized && cri_me.signal_callbacks.count > 0;

    if (block == &cri_block && cri_round_join(own))
        cri_group_run(callbacks ? &cri_me.signal_callbacks : NULL,
                      callbacks ? CR_SIGNAL_CONTEXT : 0, own);
}

/* Where entry returns to: the frame below it is put back, as the C library does for its handlers.
 */
__asm__(".text\n"
        ".balign 16\n"
        ".hidden cri_restorer\n"
        ".globl cri_restorer\n"
        ".type cri_restorer, @function\n"
        "cri_restorer:\n"
        "    mov $15, %eax\n" /* rt_sigreturn */
        "    syscall\n"
        ".size cri_restorer, . - cri_restorer\n");
