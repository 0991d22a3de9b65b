/*
 * request_restart.c - crs-request, where a program asks for a restart through libcr
 *
 * It stays in the session and process group of who asked, which the restarted program is to be in,
 * and keeps the descriptors that it got, which the program may get.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "cli/request_page.h"
#include "libcr.h"
#include "requests/restart.h"

#define EXIT_NO_REQUEST 2
#define LOOK_MS         100

static void on_accepted(void *arg)
{
    struct request_page *page = arg;

    page->accepted = 1;
    request_page_tell(&page->state, REQUEST_ACCEPTED);
}

/* The texts stand in the log, which is ours to write once they are copied. */
static int take_moved(struct request_page *page, const char **ret, size_t *ret_n)
{
    const char *end = page->log + sizeof(page->log);
    static char copy[sizeof(page->log)];
    size_t n = 0;

    memcpy(copy, page->log, sizeof(copy));
    copy[sizeof(copy) - 1] = 0;
    for (const char *at = copy; n < page->n_moved; at += strlen(at) + 1) {
        if (n == CR_MAX_RSTRT_RELOC || at - copy >= end - page->log)
            return -EINVAL;
        ret[n++] = at;
    }
    page->log[0] = 0;
    *ret_n = n;
    return 0;
}

/* As long as who asked lives: else the program is an orphan in any case. */
static void leave(struct request_page *page)
{
    const struct timespec look = {.tv_nsec = LOOK_MS * 1000000};
    _Atomic uint32_t *leaving = (_Atomic uint32_t *)&page->leaving;
    pid_t between = getppid();

    request_page_tell(&page->leaving, REQUEST_ASKS_TO_LEAVE);
    while (atomic_load(leaving) != REQUEST_MAY_LEAVE && getppid() == between &&
           kill(page->requester, 0) == 0)
        syscall(SYS_futex, &page->leaving, FUTEX_WAIT, REQUEST_ASKS_TO_LEAVE, &look, NULL, 0);
}

static int restart(struct request_page *page, int context_fd)
{
    const char *moved[CR_MAX_RSTRT_RELOC];
    struct requests_restart_options o = REQUESTS_RESTART_OPTIONS_INIT;
    struct requests_restarted result = {.error = EINVAL};

    if (take_moved(page, moved, &o.n_relocate) == 0) {
        o.fd = context_fd;
        o.flags = page->flags;
        o.signal = page->signal;
        o.requester = page->requester;
        o.relocate = moved;
        o.detach = true;
        o.accepted = on_accepted;
        o.accepted_arg = page;
        if (page->flags & CR_RSTRT_ASYNC_ERR)
            on_accepted(page);
        requests_restart(&o, &result, NULL);
    }
    if (result.log)
        request_page_log(page, result.log);
    free(result.log);
    page->error = result.error;
    page->n_processes = result.n_processes;
    page->root = result.error || result.of_init ? 0 : result.program.wait_pid;
    leave(page);
    return result.error != 0;
}

static int fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

int request_restart_main(const char *page_number, const char *context_number)
{
    uint64_t page_fd, context_fd;

    if (parse_number(page_number, INT_MAX, &page_fd) < 0 ||
        parse_number(context_number, INT_MAX, &context_fd) < 0)
        return EXIT_NO_REQUEST;
    struct request_page *page = request_page_map((int)page_fd);
    if (!page)
        return EXIT_NO_REQUEST;
    close((int)page_fd);
    fcntl((int)context_fd, F_SETFD, FD_CLOEXEC);
    signal(SIGPIPE, SIG_IGN);
    int r = fill_standard_descriptors();
    if (r < 0) {
        page->error = -r;
        leave(page);
        return 1;
    }
    return restart(page, (int)context_fd);
}
