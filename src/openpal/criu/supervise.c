/*
 * supervise.c - a process that stands in the place of another
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "openpal/criu/supervise.h"

/* Signals of one's own faults are not to be passed on. */
static void passed_on(sigset_t *ret)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS};
    sigfillset(ret);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        sigdelset(ret, own[i]);
}

void supervise_begin(struct supervision *ret)
{
    sigset_t all;
    passed_on(&all);
    sigprocmask(SIG_BLOCK, &all, &ret->before);
    /* An ignored SIGCHLD would have children vanish without their exit codes. */
    signal(SIGCHLD, SIG_DFL);
}

void supervise_cancel(const struct supervision *supervision)
{
    sigprocmask(SIG_SETMASK, &supervision->before, NULL);
}

static _Noreturn void die_of(int number)
{
    sigset_t one;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* the core is the process's, not this one's */
    signal(number, SIG_DFL);
    raise(number);
    sigemptyset(&one);
    sigaddset(&one, number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    _exit(128 + number);
}

static _Noreturn void end_as(int status)
{
    if (WIFSIGNALED(status))
        die_of(WTERMSIG(status));
    _exit(WEXITSTATUS(status));
}

/* What happened to children since; true: the process has ended. */
static bool look(pid_t pid, int *ret_status)
{
    int status;
    pid_t child;
    while ((child = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
        if (child != pid)
            continue;
        if (WIFSTOPPED(status)) {
            kill(getpid(), SIGSTOP);
            continue;
        }
        *ret_status = status;
        return true;
    }
    *ret_status = 255 << 8; /* how it ended somebody else was told */
    return child < 0 && errno == ECHILD;
}

static void pass_on(const siginfo_t *info, pid_t pid)
{
    /* A terminal has sent it to the whole group, and the process may be in it. */
    bool by_terminal = info->si_code > 0 && getpgid(pid) == getpgrp();
    if (info->si_signo != SIGCHLD && !by_terminal)
        kill(pid, info->si_signo);
}

_Noreturn void supervise(pid_t pid, void (*before_end)(void *arg), void *arg)
{
    sigset_t all;
    siginfo_t info;
    int status;
    passed_on(&all);
    while (!look(pid, &status))
        if (sigwaitinfo(&all, &info) > 0)
            pass_on(&info, pid);
    before_end(arg);
    end_as(status);
}
