/*
 * block.c - the block that the tool finds, and what is set up when libcr is loaded
 *
 * The tool needs nothing but the block, so a program that is linked with the library can be
 * checkpointed before (and without) any call of cr_init().
 */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "libcr/cri.h"
#include "libcr/setup.h"

#define EXPORTED __attribute__((visibility("default")))

__attribute__((visibility("hidden"))) struct cooperation cri_block;
COOPERATION_NOTE(cri_block);

/* For `-u cr_link_me`. */
EXPORTED const int cr_link_me = 1;
/* Exported by BLCR, and by that looked up in programs. */
EXPORTED int cri_signum = CR_SIGNUM;
EXPORTED void cri_sig_handler(int signal, siginfo_t *info, void *context);
void cri_run_sig_handler(int signal, siginfo_t *info, void *context) __attribute__((weak));
void cri_omit_sig_handler(int signal, siginfo_t *info, void *context) __attribute__((weak));

void cri_sig_handler(int signal, siginfo_t *info, void *context)
{
}

/* The child has no callbacks, no runner, no critical section, and is in no request. */
static void fork_in_child(void)
{
    cri_requests_forked();
    cri_runner_forked();
    cri_callbacks_forked();
    cri_hooks_forked();
    cri_hold_forked();
    cri_forward_forked();
    cri_thread_forked();
    cri_sections_forked();
    cri_round_forked();
    cri_wishes_update();
    __atomic_store_n(&cri_block.pid, getpid(), __ATOMIC_SEQ_CST);
    setup_ptracer(&cri_block);
}

__attribute__((constructor)) static void set_up(void)
{
    setup_handler_t const stubs[] = {cri_run_sig_handler, cri_omit_sig_handler};

    cri_thread_setup();
    pthread_atfork(NULL, NULL, fork_in_child);
    setup_ptracer(&cri_block);
    setup_signal(CR_SIGNUM, cri_sig_handler, stubs, 2);
    cri_block.entry = (uint64_t)(uintptr_t)cri_entry;
    cri_block.restorer = (uint64_t)(uintptr_t)cri_restorer;
    setup_block(&cri_block, COOPERATION_FULL);
}
