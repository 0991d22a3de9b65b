/*
 * stub_omit.c - libcr_omit: leaves a program out of all checkpoints
 *
 * All of it is a block that says so to the tool.
 */
#include <pthread.h>
#include <signal.h>

#include "libcr/setup.h"

#define EXPORTED __attribute__((visibility("default")))

static struct cooperation block __attribute__((used)); /* by the note */
COOPERATION_NOTE(block);

EXPORTED const int cr_omit_link_me = 1;
EXPORTED void cri_omit_sig_handler(int signal, siginfo_t *info, void *context);

void cri_omit_sig_handler(int signal, siginfo_t *info, void *context)
{
}

static void fork_in_child(void)
{
    setup_ptracer(&block);
}

__attribute__((constructor)) static void set_up(void)
{
    pthread_atfork(NULL, NULL, fork_in_child);
    setup_ptracer(&block);
    setup_signal(64, cri_omit_sig_handler, NULL, 0);
    setup_block(&block, COOPERATION_OMIT);
}
