/*
 * request.c - asking for a checkpoint, and waiting for its end
 *
 * The program keeps nothing of a request but a page of memory that it shares with crs-request. That
 * page comes along into a snapshot; the restarted process knows by the block's `restarts` that the
 * request is none of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "libcr/again.h"
#include "libcr/cri.h"
#include "libcr/futex.h"
#include "libcr/handle.h"
#include "libcr/launch.h"
#include "libcr/slice.h"

#define EXPORTED __attribute__((visibility("default")))

#define KNOWN_FLAGS                                                                                \
    (CR_CHKPT_PROHIBIT_SELF | CR_CHKPT_PTRACED_ALLOW | CR_CHKPT_PTRACED_SKIP |                     \
     CR_CHKPT_PTRACER_SKIP | CR_CHKPT_ASYNC_ERR | CR_CHKPT_DUMP_ALL)

static int fail(int errnum)
{
    errno = errnum;
    return -1;
}

/* ---- the state of a request ---- */

static bool is_restarted(const struct cri_request *request)
{
    return request->restarts != cri_load(&cri_block.restarts);
}

static uint32_t state_of(const struct cri_request *request)
{
    return cri_load(&request->page->state) & ~REQUEST_ENDING;
}

/* Does our own block tell when it ends? */
static bool is_ending(const struct cri_request *request)
{
    return (cri_load(&request->page->state) & REQUEST_ENDING) && request->n_forks == cri_n_forks &&
           !is_restarted(request);
}

static bool has_ended(const struct cri_request *request)
{
    return is_ending(request) && cri_load(&cri_block.rounds) != request->page->rounds;
}

/* It leads a session from before its exec on, so that another process with its ID isn't taken for
 * it. The answer may have come right before its end. */
static void look_for_death(struct cri_request *request)
{
    int saved = errno;

    if (request->pid == 0 || is_ending(request))
        return;
    bool dead = !cri_process_lives(request->pid) || getsid(request->pid) != request->pid;

    errno = saved;
    if (dead && cri_load(&request->page->state) != REQUEST_DONE)
        cri_store(&request->lost, 1);
}

static bool is_over(const struct cri_request *request, enum request_state state)
{
    return is_restarted(request) || state_of(request) >= state || has_ended(request) ||
           cri_load(&request->lost);
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static int wait_a_while(struct cri_request *request, uint32_t word, int64_t time_ns)
{
    struct timespec time = {.tv_nsec = time_ns};

    if ((word & REQUEST_ENDING) && is_ending(request))
        return cri_futex_wait_for(&cri_block.rounds, request->page->rounds, &time, false);
    return cri_futex_wait_for(&request->page->state, word, &time, true);
}

/* Until it is in the state, or the time is over. 1, 0, or -EINTR. */
static int wait_until(struct cri_request *request, enum request_state state, int64_t until_ns)
{
    while (!is_over(request, state)) {
        uint32_t word = cri_load(&request->page->state);
        int64_t left_ns = until_ns - now_ns(), look_ns = CRI_LOOK_MS * 1000000ll;
        int r = left_ns > 0 && (word & ~REQUEST_ENDING) < state
                    ? wait_a_while(request, word, left_ns < look_ns ? left_ns : look_ns)
                    : -ETIMEDOUT;

        if (r == -ETIMEDOUT)
            look_for_death(request);
        if (r == -EINTR && !is_over(request, state))
            return -EINTR;
        if (left_ns <= 0)
            return is_over(request, state);
    }
    return 1;
}

static int wait_for(struct cri_request *request, enum request_state state, int64_t until_ns)
{
    if (is_over(request, state))
        return 1;
    bool shortened = until_ns > 0 && cri_slice_shorten();
    bool waits = until_ns > 0 && state == REQUEST_DONE && request->page->knows_end;
    unsigned n_forks = cri_n_forks;

    if (waits)
        cri_waiting_begin();
    int r = wait_until(request, state, until_ns);
    if (shortened)
        cri_slice_restore();
    if (waits && n_forks == cri_n_forks)
        cri_waiting_end();
    return r;
}

/* Of a request that is over; 0 or an errno value. */
static int result_of(const struct cri_request *request)
{
    if (is_restarted(request))
        return CR_ERESTARTED;
    if (cri_load(&request->lost))
        return EIO;
    return has_ended(request) ? 0 : request->page->error;
}

/* ---- making one ---- */

static int check(const cr_checkpoint_args_t *args)
{
    if (!args)
        return EFAULT;
    if (args->cr_version != CR_CHECKPOINT_ARGS_VERSION ||
        (unsigned)args->cr_scope > CR_SCOPE_TREE || args->cr_target < 0 ||
        abs(args->cr_signal) > SIGRTMAX || (args->cr_flags & ~KNOWN_FLAGS))
        return EINVAL;
    return fcntl(args->cr_fd, F_GETFD) < 0 ? EBADF : 0;
}

static bool is_for_itself(const cr_checkpoint_args_t *args)
{
    return args->cr_scope == CR_SCOPE_PROC && !(args->cr_flags & CR_CHKPT_PROHIBIT_SELF) &&
           (args->cr_target == 0 || args->cr_target == getpid());
}

static void fill(struct request_page *page, const cr_checkpoint_args_t *args)
{
    page->version = REQUEST_VERSION;
    page->requester = getpid();
    page->target = args->cr_target;
    page->scope = args->cr_scope;
    page->signal = args->cr_signal;
    page->timeout_s = args->cr_timeout;
    page->flags = args->cr_flags;
    page->knows_end = is_for_itself(args);
    page->magic = REQUEST_MAGIC;
}

/* 0 or an errno value. */
static int begin(const cr_checkpoint_args_t *args, struct cri_request **ret)
{
    _cleanup_request_ struct cri_request *request = NULL;
    _cleanup_close_ int page_fd = -1;
    int r = cri_request_new(&request, &page_fd);

    if (r != 0)
        return r;
    fill(request->page, args);
    if (!cri_again_ask(request, page_fd, args->cr_fd))
        r = cri_launch(page_fd, args->cr_fd, &request->pid);
    if (r != 0)
        return r;
    *ret = TAKE_PTR(request);
    return 0;
}

/* It was refused, or its program died, before it was accepted. */
static int refusal(const struct cri_request *request)
{
    return request->page->accepted || is_restarted(request) ? 0 : result_of(request);
}

int cri_request_wait_accepted(struct cri_request *request)
{
    while (wait_for(request, REQUEST_ACCEPTED, INT64_MAX) < 0)
        continue;
    return refusal(request);
}

static int begin_and_wait(const cr_checkpoint_args_t *args, struct cri_request **ret)
{
    bool asks =
        is_for_itself(args) && !cri_me.asks; /* else a signal handler, in the middle of it */
    int r;

    if (asks)
        cri_asking_begin();
    r = begin(args, ret);
    if (r == 0)
        r = cri_request_wait_accepted(*ret);
    if (asks)
        cri_asking_end();
    return r;
}

EXPORTED int cr_request_checkpoint(cr_checkpoint_args_t *args, cr_checkpoint_handle_t *handle)
{
    _cleanup_request_ struct cri_request *request = NULL;
    int r = handle ? check(args) : EFAULT;

    if (r == 0)
        r = begin_and_wait(args, &request);
    if (r != 0)
        return fail(r);
    *handle = cri_request_list(request);
    return 0;
}

/* ---- waiting for it ---- */

static struct cri_request *find(const cr_checkpoint_handle_t *handle)
{
    struct cri_request *request = handle ? cri_request_find(*handle) : NULL;

    if (!request)
        errno = handle ? EINVAL : EFAULT;
    return request;
}

static bool is_time(const struct timeval *time)
{
    return time->tv_sec >= 0 && time->tv_usec >= 0 && time->tv_usec < 1000000;
}

/* Longer than that is without limit. */
static int64_t end_of(const struct timeval *timeout)
{
    const int64_t max_s = INT64_MAX / 4 / 1000000000;

    if (!timeout || timeout->tv_sec > max_s)
        return INT64_MAX;
    return now_ns() + timeout->tv_sec * 1000000000ll + timeout->tv_usec * 1000ll;
}

static void lower(struct timeval *timeout, int64_t until_ns)
{
    int64_t left_ns = until_ns - now_ns();

    if (!timeout || until_ns == INT64_MAX)
        return;
    left_ns = left_ns > 0 ? left_ns : 0;
    timeout->tv_sec = left_ns / 1000000000;
    timeout->tv_usec = left_ns % 1000000000 / 1000;
}

EXPORTED int cr_wait_checkpoint(cr_checkpoint_handle_t *handle, struct timeval *timeout)
{
    _cleanup_request_ struct cri_request *request = find(handle);
    int64_t until_ns;
    int r;

    if (!request)
        return -1;
    if (timeout && !is_time(timeout))
        return fail(EINVAL);
    until_ns = end_of(timeout);
    r = wait_for(request, REQUEST_DONE, until_ns);
    lower(timeout, until_ns);
    return r < 0 ? fail(-r) : r;
}

/* In the page, which is another process': not to be trusted. */
static unsigned log_size(const struct cri_request *request)
{
    unsigned size = request->page->log_size;

    if (is_restarted(request) || cri_load(&request->lost))
        return 0;
    return size <= sizeof(request->page->log) ? size : sizeof(request->page->log);
}

EXPORTED int cr_log_checkpoint(cr_checkpoint_handle_t *handle, unsigned int size, char *text)
{
    _cleanup_request_ struct cri_request *request = find(handle);
    unsigned all, n;

    if (!request)
        return -1;
    if (wait_for(request, REQUEST_DONE, 0) == 0)
        return fail(EAGAIN);
    if (!text && size > 0)
        return fail(EFAULT);
    all = log_size(request);
    n = size < all ? size : all;
    if (n > 0) {
        memcpy(text, request->page->log, n);
        text[n - 1] = '\0';
    }
    return (int)all;
}

EXPORTED int cr_reap_checkpoint(cr_checkpoint_handle_t *handle)
{
    _cleanup_request_ struct cri_request *request = find(handle);
    int r;

    if (!request)
        return -1;
    if (wait_for(request, REQUEST_DONE, 0) == 0)
        return fail(EAGAIN);
    if (!cri_request_unlist(request))
        return fail(EINVAL);
    *handle = (cr_checkpoint_handle_t)-1;
    r = result_of(request);
    if (r == 0)
        cri_again_remember(request);
    return r == 0 ? 1 : fail(r);
}

/* NULL where there are none. */
static int copy_log(cr_checkpoint_handle_t *handle, char **ret)
{
    int size = cr_log_checkpoint(handle, 0, NULL);
    char *text = NULL;

    if (size > 0) {
        text = malloc(size);
        if (text)
            size = cr_log_checkpoint(handle, size, text);
    }
    if (size < 0 || (size > 0 && !text))
        return -1;
    *ret = text;
    return 0;
}

EXPORTED int cr_poll_checkpoint_msg(cr_checkpoint_handle_t *handle, struct timeval *timeout,
                                    char **msg)
{
    int r = cr_wait_checkpoint(handle, timeout);

    if (r <= 0)
        return r < 0 ? CR_POLL_CHKPT_ERR_PRE : 0;
    if (msg && copy_log(handle, msg) < 0)
        return CR_POLL_CHKPT_ERR_LOG;
    r = cr_reap_checkpoint(handle);
    return r < 0 ? CR_POLL_CHKPT_ERR_POST : r;
}

EXPORTED int cr_poll_checkpoint(cr_checkpoint_handle_t *handle, struct timeval *timeout)
{
    return cr_poll_checkpoint_msg(handle, timeout, NULL);
}
