/*
 * runner.c - the thread for callbacks of thread context
 *
 * Made by the first registration. It has all signals blocked, so that none of the program's
 * handlers runs in it, and waits for the word `phase`, which the tool changes while the process is
 * held.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libcr/cri.h"
#include "libcr/futex.h"

#define SMALL_STACK ((size_t)256 * 1024)

static uint32_t runner_tid; /* 0: there is none (yet) */

int cri_runner_tid(void)
{
    return (int)cri_load(&runner_tid);
}

void cri_runner_restarted(void)
{
    cri_thread_is_own();
    cri_store(&runner_tid, (uint32_t)syscall(SYS_gettid));
}

void cri_runner_forked(void)
{
    cri_store(&runner_tid, 0);
}

/* A callback has ended the thread. There are still callbacks. */
void cri_runner_ends(void)
{
    if (cri_runner_tid() == (int)syscall(SYS_gettid)) {
        cri_store(&runner_tid, 0);
        cri_runner_start();
    }
}

/* In the round, and until it has ended. */
static void take_part(uint32_t rounds, unsigned n_forks)
{
    cri_group_run(&cri_thread_callbacks, CR_THREAD_CONTEXT, true);
    while (cri_n_forks == n_forks && cri_load(&cri_block.rounds) == rounds)
        cri_futex_wait(&cri_block.rounds, rounds, 0);
}

/* Where there are no callbacks for it the tool takes it for a thread as any other. */
static bool is_wanted(uint32_t phase)
{
    return phase != COOPERATION_IDLE &&
           __atomic_load_n(&cri_block.runner_tid, __ATOMIC_SEQ_CST) == cri_runner_tid();
}

static void *runner(void *arg)
{
    unsigned n_forks = cri_n_forks;

    prctl(PR_SET_NAME, "libcr", 0, 0, 0);
    cri_thread_begin();
    cri_store(&runner_tid, (uint32_t)syscall(SYS_gettid));
    cri_futex_wake(&runner_tid);
    while (cri_n_forks == n_forks) { /* else a callback has forked, and this is the child */
        uint32_t rounds = cri_load(&cri_block.rounds), phase = cri_load(&cri_block.phase);

        if (is_wanted(phase) && cri_round_join(true)) {
            take_part(rounds, n_forks);
            continue;
        }
        if (cri_round_left_over())
            cri_round_close();
        cri_futex_wait(&cri_block.phase, phase, is_wanted(phase) ? 1 : 0);
    }
    return NULL;
}

/* With the stack that threads have here; where there is no room for it, with a small one. */
static int make_thread(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    size_t size;
    int r = pthread_attr_init(&attr);

    if (r != 0)
        return r;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_attr_getstacksize(&attr, &size) == 0 && size < SMALL_STACK)
        pthread_attr_setstacksize(&attr, SMALL_STACK);
    r = pthread_create(&thread, &attr, runner, NULL);
    if (r == EAGAIN || r == ENOMEM) {
        pthread_attr_setstacksize(&attr, SMALL_STACK);
        r = pthread_create(&thread, &attr, runner, NULL);
    }
    pthread_attr_destroy(&attr);
    return r;
}

int cri_runner_start(void)
{
    static cr_spinlock_t lock = CR_SPINLOCK_INITIALIZER;
    sigset_t all, before;
    int r = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    cr_spinlock_lock(&lock);
    if (cri_runner_tid() == 0) {
        r = make_thread();
        while (r == 0 && cri_runner_tid() == 0)
            cri_futex_wait(&runner_tid, 0, 0);
    }
    cr_spinlock_unlock(&lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}
