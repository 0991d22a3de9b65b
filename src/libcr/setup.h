/*
 * setup.h - what libcr and its two stubs do alike when they are loaded
 */
#ifndef LIBCR_SETUP_H
#define LIBCR_SETUP_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cooperation.h"

/* Where yama lets only ancestors hold a process, it says itself that the tool may. A choice that
 * the program makes later stays, up to a restart. A child of fork() begins without it. */
static inline void setup_ptracer(struct cooperation *block)
{
    const char *off = secure_getenv("LIBCR_DISABLE_PTRACER");
    int saved = errno;

    if (!off || !*off) {
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0,
              0); /* without yama: an error, of no matter */
        __atomic_fetch_or(&block->flags, COOPERATION_HOLDABLE, __ATOMIC_SEQ_CST);
    }
    errno = saved;
}

typedef void (*setup_handler_t)(int signal, siginfo_t *info, void *context);

/* A program that was sent BLCR's signal by a user did not end of it. So it is where nobody else
 * has said what the signal is for; `replaces`: handlers of the stubs, or NULL. */
static inline void setup_signal(int number, setup_handler_t handler,
                                setup_handler_t const *replaces, size_t n_replaces)
{
    struct sigaction now, action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    bool ours;

    if (sigaction(number, NULL, &now) != 0)
        return;
    ours = !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL;
    for (size_t i = 0; i < n_replaces; i++)
        ours |= replaces[i] && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == replaces[i];
    sigfillset(&action.sa_mask);
    if (ours)
        sigaction(number, &action, NULL);
}

/* The magic comes last: from then on the tool sees the block. */
static inline void setup_block(struct cooperation *block, enum cooperation_kind kind)
{
    block->version = COOPERATION_VERSION;
    block->size = sizeof(*block);
    block->kind = kind;
    block->pid = getpid();
    __atomic_store_n(&block->magic, COOPERATION_MAGIC, __ATOMIC_SEQ_CST);
}

#endif
