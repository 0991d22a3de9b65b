/*
 * again.c - another request for a crs-request that is there already
 *
 * The program keeps nothing but its number and when it was started, by which it is known from
 * another process with that number. Whatever is in the way: a new one is started then.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libcr/again.h"
#include "libcr/cri.h"
#include "libcr/futex.h"
#include "libcr/launch.h"
#include "libcr/slice.h"

#define LOOKS   20
#define LOOK_MS 5

/* Whose it is tells `restarts` and `n_forks`; environment: of when it was started. */
struct last {
    pid_t pid;
    uint64_t started, environment;
    uint32_t restarts;
    unsigned n_forks;
};

static struct last last;
static uint32_t taken; /* `last` is somebody's: who finds it so does without */

static uint64_t mix(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
    return (hash ^ 0xff) * 0x100000001b3u;
}

/* What a new one would get: another environment makes another one. */
static uint64_t environment_now(void)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (char **variable = environ; variable && *variable; variable++)
        hash = mix(hash, *variable);
    return hash;
}

void cri_again_remember(const struct cri_request *request)
{
    if (request->pid == 0 || request->page->started == 0 || !cri_change(&taken, 0, 1))
        return;
    last = (struct last){.pid = request->pid,
                         .started = request->page->started,
                         .environment = request->environment,
                         .restarts = request->restarts,
                         .n_forks = request->n_forks};
    cri_store(&taken, 0);
}

/* The one that is remembered, and isn't from now on. */
static bool take_last(struct last *ret)
{
    if (!cri_change(&taken, 0, 1))
        return false;
    *ret = last;
    last.pid = 0;
    cri_store(&taken, 0);
    return ret->pid > 0 && ret->restarts == cri_load(&cri_block.restarts) &&
           ret->n_forks == cri_n_forks;
}

/* ---- system calls alone: none of them is a point of cancellation ---- */

/* Field 22 of /proc/PID/stat; 0: it can't be read. */
static uint64_t start_of(pid_t pid)
{
    char path[40], text[1024];

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : syscall(SYS_read, fd, text, sizeof(text) - 1);
    if (fd >= 0)
        syscall(SYS_close, fd);
    if (n <= 0)
        return 0;
    text[n] = 0;
    char *at = strrchr(text, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

static bool send(const struct last *to, int page_fd)
{
    int pidfd = (int)syscall(SYS_pidfd_open, to->pid, 0);
    siginfo_t info;

    if (pidfd < 0)
        return false;
    memset(&info, 0, sizeof(info));
    info.si_signo = REQUEST_AGAIN_SIGNAL;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr =
        (void *)((uintptr_t)syscall(SYS_gettid) << 32 | (uintptr_t)(unsigned)page_fd);
    bool sent = start_of(to->pid) == to->started &&
                syscall(SYS_pidfd_send_signal, pidfd, REQUEST_AGAIN_SIGNAL, &info, 0) == 0;
    syscall(SYS_close, pidfd);
    return sent;
}

/* It may be busy with the last request's end; or it has ended. */
static bool wait_until_taken(struct request_page *page, pid_t pid)
{
    const struct timespec look = {.tv_nsec = LOOK_MS * 1000000};

    cri_store(&page->sent, 1);
    syscall(SYS_futex, &page->sent, FUTEX_WAKE, 1, NULL, NULL, 0);
    for (unsigned n = 0; cri_load(&page->taken) == REQUEST_NOT_TAKEN && n < LOOKS; n++)
        if (cri_futex_wait_for(&page->taken, REQUEST_NOT_TAKEN, &look, true) == -ETIMEDOUT &&
            !cri_process_lives(pid))
            break;
    cri_change(&page->taken, REQUEST_NOT_TAKEN, REQUEST_WITHDRAWN);
    return cri_load(&page->taken) == REQUEST_TAKEN;
}

bool cri_again_ask(struct cri_request *request, int page_fd, int destination_fd)
{
    struct last to;
    int saved = errno;

    request->environment = environment_now();
    request->page->knows_again = 1;
    request->page->destination = destination_fd;
    if (!take_last(&to) || to.environment != request->environment)
        return false;
    bool shortened = cri_slice_shorten();
    bool done = send(&to, page_fd) && wait_until_taken(request->page, to.pid);

    if (shortened)
        cri_slice_restore();
    errno = saved;
    if (done)
        request->pid = to.pid;
    return done;
}
