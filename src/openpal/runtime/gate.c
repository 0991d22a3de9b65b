/* gate.c - critical sections, and the one who saves */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#include "opal/constants.h"
#include "openpal/runtime/gate.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned n_sections; /* of all threads */
static bool held;
static bool refused; /* somebody was told to come back */
static void (*on_free)(void);

static _Thread_local unsigned depth; /* of this thread's */
static _Thread_local bool holder;

/* A thread that ends takes its sections with it. */
static pthread_key_t at_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Under the lock, which it gives back. */
static void unlock_and_tell(void)
{
    bool tell = refused && !held && n_sections == 0;
    void (*wake)(void) = on_free;

    if (tell)
        refused = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (tell && wake)
        wake();
}

static void thread_ends(void *value)
{
    pthread_mutex_lock(&lock);
    n_sections -= depth;
    depth = 0;
    unlock_and_tell();
}

static void make_key(void)
{
    pthread_key_create(&at_end, thread_ends);
}

int gate_enter(void)
{
    pthread_once(&once, make_key);
    if (depth == 0)
        pthread_setspecific(at_end, &depth);
    pthread_mutex_lock(&lock);
    while (held && !holder && depth == 0)
        pthread_cond_wait(&changed, &lock);
    n_sections++;
    depth++;
    pthread_mutex_unlock(&lock);
    return OPAL_SUCCESS;
}

int gate_leave(void)
{
    if (depth == 0)
        return OPAL_ERROR;
    pthread_mutex_lock(&lock);
    n_sections--;
    depth--;
    unlock_and_tell();
    return OPAL_SUCCESS;
}

int gate_begin(bool wait, char *words, size_t size)
{
    int r = OPAL_SUCCESS;

    if (holder || depth > 0)
        return OPAL_ERR_RESOURCE_BUSY;
    pthread_mutex_lock(&lock);
    while (wait && (held || n_sections > 0))
        pthread_cond_wait(&changed, &lock);
    if (held)
        snprintf(words, size, "another checkpoint of it is under way");
    else if (n_sections > 0)
        snprintf(words, size, "it is in a critical section");
    if (held || n_sections > 0) {
        refused = true;
        r = OPAL_ERR_WOULD_BLOCK;
    } else {
        held = holder = true;
    }
    pthread_mutex_unlock(&lock);
    return r;
}

int gate_begin_last(void)
{
    if (holder)
        return OPAL_ERR_RESOURCE_BUSY;
    pthread_mutex_lock(&lock);
    while (held)
        pthread_cond_wait(&changed, &lock);
    held = holder = true;
    pthread_mutex_unlock(&lock);
    return OPAL_SUCCESS;
}

void gate_end(void)
{
    pthread_mutex_lock(&lock);
    held = holder = false;
    unlock_and_tell();
}

bool gate_is_mine(void)
{
    return holder;
}

void gate_on_free(void (*wake)(void))
{
    pthread_mutex_lock(&lock);
    on_free = wake;
    pthread_mutex_unlock(&lock);
}

void gate_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void gate_fork_parent(void)
{
    pthread_mutex_unlock(&lock);
}

void gate_fork_child(void)
{
    pthread_cond_init(&changed, NULL); /* who waited isn't here */
    n_sections = depth;
    held = holder;
    refused = false;
    pthread_mutex_unlock(&lock);
}
