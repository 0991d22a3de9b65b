/*
 * section.c - the critical section of components whose checkpointer has none
 */
#include <pthread.h>
#include <stdbool.h>

#include "opal/mca/crs/base/base.h"
#include "openpal/crs/section.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned n_inside; /* sections of all threads */
static bool closed;       /* a checkpoint waits, or is taken */

static _Thread_local unsigned depth;
static _Thread_local bool is_taker;

/* ---- fork: in the child there is only the thread that called it ---- */

static void fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

static void fork_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void fork_child(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&changed, NULL);
    n_inside = depth;
    closed = is_taker;
}

static void watch_forks(void)
{
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

static void begin(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&lock);
}

/* ---- the section ---- */

int opal_crs_section_enter(void)
{
    begin();
    while (closed && depth == 0 && !is_taker)
        pthread_cond_wait(&changed, &lock);
    n_inside++;
    depth++;
    pthread_mutex_unlock(&lock);
    return OPAL_SUCCESS;
}

int opal_crs_section_leave(void)
{
    if (depth == 0)
        return OPAL_ERROR;
    pthread_mutex_lock(&lock);
    n_inside--;
    depth--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return OPAL_SUCCESS;
}

int opal_crs_section_close(void)
{
    if (depth > 0 || is_taker)
        return opal_crs_base_fail(OPAL_ERR_RESOURCE_BUSY,
                                  "the thread that wants a checkpoint is in a critical section, "
                                  "or in a checkpoint; leave it first");
    begin();
    while (closed)
        pthread_cond_wait(&changed, &lock);
    closed = true;
    while (n_inside > 0)
        pthread_cond_wait(&changed, &lock);
    is_taker = true;
    pthread_mutex_unlock(&lock);
    return OPAL_SUCCESS;
}

void opal_crs_section_open(void)
{
    pthread_mutex_lock(&lock);
    closed = false;
    is_taker = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}
