/*
 * thread.c - what is known of the calling thread: cr_init(), and its end
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libcr/cri.h"
#include "libcr/futex.h"
#include "libcr/slice.h"

#define EXPORTED __attribute__((visibility("default")))

__attribute__((visibility("hidden"))) _Thread_local struct cri_thread cri_me = {.hold =
                                                                                    CR_HOLD_DFLT};
unsigned cri_n_forks;

static pthread_key_t key; /* for its destructor: the value is of no matter */
static bool has_key;

/* A restart may have given the threads other IDs; then no two of them can be confused, because
 * those that share cri_me make their first step after it one after the other. */
bool cri_thread_is_own(void)
{
    int tid = (int)syscall(SYS_gettid);

    if (cri_me.tid == 0 || cri_me.restarts != cri_load(&cri_block.restarts)) {
        cri_me.tid = tid;
        cri_me.restarts = cri_load(&cri_block.restarts);
    }
    return cri_me.tid == tid;
}

/* As long as the program uses us in destructors of its own, ours comes again: the C library goes
 * round a few times. */
static void thread_ends(void *value)
{
    if (cri_me.persist > 0) {
        pthread_setspecific(key, &cri_me);
        return;
    }
    cri_group_abandon();
    cri_sections_drop();
    cri_section_begin();
    cri_signal_callbacks_drop();
    cri_hold_thread_ends();
    cri_runner_ends();
    cri_wishes_update();
    cri_me.initialized = false;
    cri_section_end();
}

void cri_thread_setup(void)
{
    has_key = pthread_key_create(&key, thread_ends) == 0;
}

int cri_need_init(void)
{
    if (cri_me.initialized)
        return 0;
    errno = CR_ENOINIT;
    return -1;
}

bool cri_thread_begin(void)
{
    if (!has_key || pthread_setspecific(key, &cri_me) != 0)
        return false;
    cri_me.tid = (int)syscall(SYS_gettid);
    cri_me.restarts = cri_load(&cri_block.restarts);
    cri_me.initialized = true;
    return true;
}

EXPORTED cr_client_id_t cr_init(void)
{
    if (cri_me.n_inits == INT_MAX || (!cri_me.initialized && !cri_thread_begin())) {
        errno = ENOMEM;
        return -1;
    }
    return cri_me.n_inits++;
}

EXPORTED int cr_inc_persist(void)
{
    if (cri_need_init() < 0)
        return -1;
    if (cri_me.persist == INT_MAX) {
        errno = ERANGE;
        return -1;
    }
    return cri_me.persist++;
}

EXPORTED int cr_dec_persist(void)
{
    if (cri_need_init() < 0)
        return -1;
    if (cri_me.persist == 0) {
        errno = ERANGE;
        return -1;
    }
    return cri_me.persist--;
}

/* Callbacks keep their memory for the child's own. */
void cri_thread_forked(void)
{
    struct cri_callbacks callbacks = cri_me.signal_callbacks;

    cri_n_forks++;
    cri_slice_restore();
    callbacks.count = 0;
    cri_me = (struct cri_thread){.hold = CR_HOLD_DFLT, .signal_callbacks = callbacks};
}
