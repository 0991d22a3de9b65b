/*
 * crs-request.c - makes a checkpoint, or a restart, that a program asked for through libcr
 *
 * Started by cr_request_checkpoint(), with the request in a page that both share
 * (base/request_page.h). It has no arguments, no output and no child, and outlives who asked. Then
 * it waits a moment for another one of the same program (request_again.c). What
 * cr_request_restart() starts is in request_restart.c.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "cli/request_again.h"
#include "cli/request_page.h"
#include "requests/requests.h"

#define EXIT_NO_REQUEST 2
#define STACK_SIZE      (8u << 20)

/* An error before this is told with the end. */
static void on_accepted(int error, void *arg)
{
    struct request_page *page = arg;

    if (error != 0)
        return;
    page->accepted = 1;
    request_page_tell(&page->state, REQUEST_ACCEPTED);
}

static void on_ending(const struct requests_result *result, uint32_t rounds, void *arg)
{
    struct request_page *page = arg;

    if (!page->knows_end)
        return;
    if (result->log)
        request_page_log(page, result->log);
    page->error = 0;
    page->n_processes = result->n_processes;
    page->rounds = rounds;
    request_page_tell(&page->state, REQUEST_ACCEPTED | REQUEST_ENDING);
}

/* ---- surroundings ---- */

static volatile int cancelled;

/* What it holds is let go on, and who asked is told. */
static void on_cancel(int sig)
{
    cancelled = sig;
}

/* Nothing of who asked: not its session, its terminal, its directory, its signals. */
static int get_away(void)
{
    static const int ignored[] = {SIGHUP, SIGPIPE, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU};
    sigset_t none;

    close_range(REQUEST_DESTINATION_FD + 1, UINT_MAX, 0);
    int null_fd = open("/dev/null", O_RDWR);
    if (null_fd < 0)
        return -errno;
    for (int fd = 0; fd <= 2; fd++)
        dup2(null_fd, fd);
    if (null_fd > 2)
        close(null_fd);
    setsid();
    if (chdir("/") < 0)
        return -errno;
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGTERM, on_cancel);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return 0;
}

/* Is our own stack as large as that of a thread would be? It may be the program that wants less. */
static bool has_stack(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur >= STACK_SIZE;
}

/* Has it ended well? */
static bool checkpoint(struct request_page *page)
{
    struct requests_checkpoint_options options = REQUESTS_CHECKPOINT_OPTIONS_INIT;
    struct requests_result result;

    options.scope = page->scope;
    options.target = page->target;
    options.requester = page->requester;
    options.signal = page->signal;
    options.flags = page->flags;
    options.timeout_s = page->timeout_s;
    options.fd = REQUEST_DESTINATION_FD;
    options.cancel = &cancelled;
    options.here = has_stack();
    options.ending = on_ending;
    requests_checkpoint(&options, &result, on_accepted, page);
    dup2(0, REQUEST_DESTINATION_FD); /* who reads it sees its end before who asked does */
    if (result.log)
        request_page_log(page, result.log);
    page->error = result.error;
    page->n_processes = result.n_processes;
    bool well = result.error == 0;
    requests_result_clear(&result);
    request_page_tell(&page->state, REQUEST_DONE);
    return well && !cancelled;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "restart") == 0)
        return request_restart_main(argv[2], argv[3]);
    struct request_page *page = request_page_map(REQUEST_PAGE_FD);
    struct request_again again;

    if (!page) {
        fprintf(stderr, "crs-request: started by programs that ask for a checkpoint through libcr, "
                        "not by hand\n");
        return EXIT_NO_REQUEST;
    }
    int r = get_away();
    if (r < 0) {
        page->error = -r;
        request_page_tell(&page->state, REQUEST_DONE);
        return 1;
    }
    request_again_begin(&again, page);
    while (page && checkpoint(page)) {
        munmap(page, sizeof(*page));
        dup2(0, REQUEST_PAGE_FD);
        page = request_again_wait(&again);
    }
    return 0;
}
