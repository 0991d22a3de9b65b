/* direct.c - a checkpoint in a helper process */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/priority.h"
#include "direct.h"
#include "job.h"
#include "request.h"

#define NAP_US 10000
#define N_NAPS 30

/* ---- the helper ---- */

struct helper {
    int fd;              /* to its parent */
    bool nice;           /* others go before, while the program runs: its session is its own */
    bool stands, behind; /* the program; the session */
};

static volatile int cancel;

static void on_cancel(int sig)
{
    cancel = sig;
}

/* For who let others go before. The freeze waits for it until it may be taken back: the program
 * runs still. */
static void turn_session(struct helper *h, const char *phase)
{
    if (strcmp(phase, "freeze") == 0) {
        for (int i = 0; h->behind && i < N_NAPS; i++) {
            h->behind = !priority_of_session(false);
            if (h->behind)
                usleep(NAP_US);
        }
        h->stands = true;
    } else if (strcmp(phase, "sync") == 0) {
        h->stands = false;
    }
    if (!h->stands && !h->behind)
        h->behind = priority_of_session(true);
}

static void pass_progress(const struct crs_progress *progress, void *arg)
{
    struct helper *h = arg;

    if (h->nice)
        turn_session(h, progress->phase);
    request_answer_progress(h->fd, progress);
}

/* Only SIGTERM, our parent's word or its death, means anything here. */
static void set_signals(void)
{
    static const int ignored[] = {SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU};
    struct sigaction action = {.sa_handler = on_cancel}, ignore = {.sa_handler = SIG_IGN},
                     plain = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        sigaction(ignored[i], &ignore, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGCHLD, &plain, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void help(pid_t parent, pid_t pid, const struct crs_checkpoint_options *given,
                           int fd)
{
    struct crs_checkpoint_options options = *given;
    struct crs_checkpoint_result result = {0};
    struct crs_error error = {0};
    /* With `stop` and `terminate` the program waits for all that comes after the freeze, too. */
    struct helper h = {.fd = fd, .nice = given->nice && given->afterwards == CRS_CONTINUE};

    set_signals();
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(0);
    options.progress = pass_progress;
    options.progress_arg = &h;
    options.cancel = &cancel;
    options.tool = parent;
    int r = crs_checkpoint(pid, &options, &result, &error);
    if (job_say_if_ended(pid, r, &error) < 0)
        request_answer_error(fd, &error);
    else
        request_answer_result(fd, &result);
    _exit(0);
}

/* ---- its parent ---- */

int direct_checkpoint(pid_t pid, const struct crs_checkpoint_options *options,
                      struct crs_checkpoint_result *ret, struct crs_error *err)
{
    pid_t parent = getpid();
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a socket pair");
    _cleanup_close_ int ours = fds[0], theirs = fds[1];
    pid_t helper = fork();
    if (helper == 0) {
        close(ours);
        help(parent, pid, options, theirs);
    }
    if (helper < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't fork");
    close(TAKE_FD(theirs));
    int r = request_await_helper(ours, helper, options, ret, err);
    while (waitpid(helper, NULL, 0) < 0 && errno == EINTR)
        ;
    return r;
}
