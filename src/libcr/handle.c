/*
 * handle.c - requests that this process has made, and their numbers
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "libcr/cri.h"
#include "libcr/futex.h"
#include "libcr/handle.h"

/* Recursive: a signal handler or a callback may come while its own thread has the lock, and fork.
 * The list is never in a state in which it couldn't be read. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct cri_request *requests;
static unsigned long n_requests;

int cri_request_new(struct cri_request **ret, int *ret_fd)
{
    _cleanup_close_ int fd = memfd_create("crs-request", MFD_CLOEXEC);
    _cleanup_free_ struct cri_request *request = calloc(1, sizeof(*request));
    void *page;

    if (!request)
        return ENOMEM;
    if (fd < 0 || ftruncate(fd, sizeof(struct request_page)) < 0)
        return errno;
    page = mmap(NULL, sizeof(struct request_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return errno;
    request->page = page;
    request->restarts = cri_load(&cri_block.restarts);
    request->n_users = 1;
    *ret = TAKE_PTR(request);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* As an int each is negative, and none is -1: no descriptor. */
static unsigned long number(unsigned long n)
{
    return n << 32 | 0x80000000ul | (n & 0x3ffffffful);
}

unsigned long cri_request_list(struct cri_request *request)
{
    pthread_mutex_lock(&lock);
    request->handle = number(++n_requests);
    request->n_users++;
    request->listed = true;
    request->next = requests;
    requests = request;
    pthread_mutex_unlock(&lock);
    return request->handle;
}

static struct cri_request *find(unsigned long handle)
{
    struct cri_request *request = requests;

    while (request && request->handle != handle)
        request = request->next;
    return request;
}

struct cri_request *cri_request_find(unsigned long handle)
{
    struct cri_request *request;

    pthread_mutex_lock(&lock);
    request = find(handle);
    if (request)
        request->n_users++;
    pthread_mutex_unlock(&lock);
    return request;
}

static void drop(struct cri_request *request)
{
    munmap(request->page, sizeof(struct request_page));
    free(request);
}

void cri_request_release(struct cri_request *request)
{
    bool last;
    int saved = errno;

    pthread_mutex_lock(&lock);
    last = --request->n_users == 0;
    pthread_mutex_unlock(&lock);
    if (last)
        drop(request);
    errno = saved;
}

static void unlink_from_list(struct cri_request *request)
{
    struct cri_request **place = &requests;

    while (*place != request)
        place = &(*place)->next;
    *place = request->next;
    request->listed = false;
}

bool cri_request_unlist(struct cri_request *request)
{
    bool was;

    pthread_mutex_lock(&lock);
    was = request->listed;
    if (was) {
        unlink_from_list(request);
        request->n_users--; /* the caller is one, too */
    }
    pthread_mutex_unlock(&lock);
    return was;
}

/* One that has ended, or was made before a restart. */
static struct cri_request *find_over(void)
{
    struct cri_request *request = requests;

    while (request && !(request->detached && request->n_users == 1 &&
                        (cri_load(&request->page->state) == REQUEST_DONE ||
                         request->restarts != cri_load(&cri_block.restarts) ||
                         !cri_process_lives(request->pid))))
        request = request->next;
    return request;
}

void cri_request_detach(unsigned long handle)
{
    struct cri_request *request;

    pthread_mutex_lock(&lock);
    request = find(handle);
    if (request)
        request->detached = true;
    while ((request = find_over())) {
        unlink_from_list(request);
        drop(request);
    }
    pthread_mutex_unlock(&lock);
}

/* The pages of a restarted process are its own copies. Who waits for one need not wait until it
 * looks again. Not at any cost: this may run in a thread that has the lock. */
void cri_requests_restarted(void)
{
    if (pthread_mutex_trylock(&lock) != 0)
        return;
    for (struct cri_request *request = requests; request; request = request->next)
        if (request->restarts != cri_load(&cri_block.restarts))
            cri_store(&request->page->state, REQUEST_DONE);
    pthread_mutex_unlock(&lock);
}

/* A child of fork() has the pages as well, and can wait for them. */
void cri_requests_before_fork(void)
{
    pthread_mutex_lock(&lock);
}

void cri_requests_after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

/* The child's thread has another ID than the one that took the lock. */
void cri_requests_forked(void)
{
    lock = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
}
