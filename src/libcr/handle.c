/*
 * handle.c - requests that this process has made, and their numbers
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "libcr/cri.h"
#include "libcr/futex.h"
#include "libcr/handle.h"

static struct cri_request *requests;
static unsigned long n_requests;

/*
 * Who changes the list: a thread's ID, or 0. A signal handler or a callback may come while its own
 * thread has the lock; then it goes on without, because the list can be read at any instant, and
 * what it adds or removes itself is complete before the thread goes on. So can a child of fork(),
 * whose only thread has never taken it. A restart may have left the ID of a thread that has another
 * one now: it isn't waited for.
 */
static uint32_t owner;

/* False: it is this thread's already. */
static bool take(void)
{
    uint32_t self = (uint32_t)syscall(SYS_gettid), other;
    int saved = errno;

    while (!cri_change(&owner, 0, self)) {
        other = cri_load(&owner);
        if (other == self)
            return false;
        if (other != 0 && cri_futex_wait(&owner, other, CRI_LOOK_MS) == -ETIMEDOUT &&
            syscall(SYS_tgkill, getpid(), other, 0) < 0 && errno == ESRCH)
            cri_change(&owner, other, 0);
        errno = saved;
    }
    return true;
}

static void give(bool taken)
{
    if (!taken)
        return;
    cri_store(&owner, 0);
    cri_futex_wake(&owner);
}

/* The kernel would send SIGXFSZ to the program. */
static bool has_room(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur >= sizeof(struct request_page);
}

int cri_request_new(struct cri_request **ret, int *ret_fd)
{
    _cleanup_close_ int fd = memfd_create("crs-request", MFD_CLOEXEC);
    _cleanup_free_ struct cri_request *request = calloc(1, sizeof(*request));
    void *page;

    if (!request)
        return ENOMEM;
    if (fd >= 0 && !has_room())
        return EFBIG;
    if (fd < 0 || ftruncate(fd, sizeof(struct request_page)) < 0)
        return errno;
    page = mmap(NULL, sizeof(struct request_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return errno;
    request->page = page;
    request->restarts = cri_load(&cri_block.restarts);
    request->n_forks = cri_n_forks;
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
    bool taken = take();

    request->handle = number(++n_requests);
    request->n_users++;
    request->listed = true;
    request->next = requests;
    __atomic_store_n(&requests, request, __ATOMIC_RELEASE);
    give(taken);
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
    bool taken = take();

    request = find(handle);
    if (request)
        request->n_users++;
    give(taken);
    return request;
}

static void drop(struct cri_request *request)
{
    munmap(request->page, sizeof(struct request_page));
    free(request);
}

void cri_request_release(struct cri_request *request)
{
    int saved = errno;
    bool last, taken = take();

    last = --request->n_users == 0;
    give(taken);
    if (last)
        drop(request);
    errno = saved;
}

static void unlink_from_list(struct cri_request *request)
{
    struct cri_request **place = &requests;

    while (*place != request)
        place = &(*place)->next;
    __atomic_store_n(place, request->next, __ATOMIC_RELEASE);
    request->listed = false;
}

bool cri_request_unlist(struct cri_request *request)
{
    bool was, taken = take();

    was = request->listed;
    if (was) {
        unlink_from_list(request);
        request->n_users--; /* the caller is one, too */
    }
    give(taken);
    return was;
}

/* One that has ended, or was made before a restart. */
static struct cri_request *find_over(void)
{
    struct cri_request *request = requests;

    while (request && !(request->detached && request->n_users == 1 &&
                        (cri_load(&request->page->state) == REQUEST_DONE ||
                         request->restarts != cri_load(&cri_block.restarts) ||
                         (request->pid && !cri_process_lives(request->pid)))))
        request = request->next;
    return request;
}

void cri_request_detach(unsigned long handle)
{
    struct cri_request *request;
    bool taken = take();

    request = find(handle);
    if (request)
        request->detached = true;
    while ((request = find_over())) {
        unlink_from_list(request);
        drop(request);
    }
    give(taken);
}

/* The pages of a restarted process are its own copies. Who waits for one need not wait until it
 * looks again. Not at any cost: this may run while another thread is held that has the lock. */
void cri_requests_restarted(void)
{
    if (!cri_change(&owner, 0, (uint32_t)syscall(SYS_gettid)))
        return;
    for (struct cri_request *request = requests; request; request = request->next)
        if (request->restarts != cri_load(&cri_block.restarts))
            cri_store(&request->page->state, REQUEST_DONE);
    give(true);
}

/* A child of fork() has the pages as well, and can wait for them. */
void cri_requests_forked(void)
{
    cri_store(&owner, 0);
}
