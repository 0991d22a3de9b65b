/* hooks.c - commands that cr_restart runs when it knows how the restart went */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/blcr/hooks.h"

enum hook hooks_class(int error)
{
    switch (error) {
    case ENOMEM:
    case EBUSY:
        return HOOK_FAIL_TEMPORARY;
    case EACCES:
    case EPERM:
    case ENOENT:
    case EEXIST:
    case EISDIR:
    case ENOTDIR:
        return HOOK_FAIL_SURROUNDINGS;
    default:
        return HOOK_FAIL_PERMANENT;
    }
}

/* A shell as system(3) starts it, but with no signal blocked, whatever is blocked here; and nobody
 * else's child is waited for. */
static int run_shell(const char *command)
{
    sigset_t none;
    int status;

    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 127;
    if (pid < 0)
        return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int hooks_run(const struct hooks *hooks, enum hook hook)
{
    const char *command = hooks->commands[hook];

    if (!command && hook != HOOK_SUCCESS)
        command = hooks->commands[HOOK_FAILURE];
    return command ? run_shell(command) : 0;
}
