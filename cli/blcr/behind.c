/* behind.c - work that is done in a process of its own behind the tool that the user sees */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "cli/blcr/behind.h"

/* ---- the process behind ---- */

static volatile int cancel;

static void on_cancel(int sig)
{
    cancel = sig;
}

/* Only SIGTERM, our parent's word or its death, means anything here. */
static void set_signals(void)
{
    static const int ignored[] = {SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU};
    struct sigaction action = {.sa_handler = on_cancel}, ignore = {.sa_handler = SIG_IGN};
    sigset_t none;

    for (size_t i = 0; i < ELEMENTS(ignored); i++)
        sigaction(ignored[i], &ignore, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void be_behind(pid_t tool, behind_fn work, void *arg, struct behind_answer *answer)
{
    set_signals();
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != tool)
        _exit(0);
    work(answer, tool, &cancel, arg);
    answer->done = true;
    _exit(0);
}

/* ---- the tool ---- */

static volatile pid_t behind;
static volatile int came;

static void on_signal(int sig)
{
    came = sig;
    if (behind > 0)
        kill(behind, SIGTERM);
}

/* What the tool was started to ignore (nohup) it ignores. */
static void watch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal}, old;

    for (size_t i = 0; i < ELEMENTS(signals); i++)
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
}

const struct behind_answer *behind_run(behind_fn work, void *arg, int *ret_signal)
{
    struct behind_answer *answer =
        mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct sigaction plain = {.sa_handler = SIG_DFL};
    pid_t tool = getpid();

    if (answer == MAP_FAILED)
        return NULL;
    sigaction(SIGCHLD, &plain, NULL);
    pid_t child = fork();
    if (child == 0)
        be_behind(tool, work, arg, answer);
    if (child < 0)
        return NULL;
    /* One that comes before ends the tool, and that the work. */
    behind = child;
    watch_signals();
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    behind = 0;
    if (!answer->done)
        answer->error = EIO; /* it was killed */
    *ret_signal = came;
    return answer;
}
