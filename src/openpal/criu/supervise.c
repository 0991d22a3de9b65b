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

/* What happened to children since; returns while the process lives. */
static void look(pid_t pid)
{
    int status;
    pid_t child;
    while ((child = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
        if (child != pid)
            continue;
        if (WIFEXITED(status))
            _exit(WEXITSTATUS(status));
        if (WIFSIGNALED(status))
            die_of(WTERMSIG(status));
        if (WIFSTOPPED(status))
            kill(getpid(), SIGSTOP);
    }
    if (child < 0 && errno == ECHILD)
        _exit(255);
}

_Noreturn void supervise(pid_t pid)
{
    sigset_t all;
    siginfo_t info;
    passed_on(&all);
    for (;;) {
        look(pid);
        if (sigwaitinfo(&all, &info) < 0)
            continue;
        /* A terminal has sent it to the whole group, and the process may be in it. */
        bool by_terminal = info.si_code > 0 && getpgid(pid) == getpgrp();
        if (info.si_signo != SIGCHLD && !by_terminal)
            kill(pid, info.si_signo);
    }
}
