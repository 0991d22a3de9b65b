/*
 * tree_zombie.c - children that have ended and were not waited for; the signals that told of it
 */
#include <sys/resource.h>
#include "victim_tree.h"

#define N 4

static const struct {
    int code, signal;
    int status; /* as of wait(2) */
} ends[N] = {{0, 0, 0}, {7, 0, 7 << 8}, {0, SIGTERM, SIGTERM}, {0, SIGKILL, SIGKILL}};

static _Noreturn void end(int code, int sig)
{
    if (sig)
        raise(sig);
    _exit(code);
}

static void make_zombies(void)
{
    siginfo_t info;

    for (int i = 0; i < N; i++) {
        pid_t pid = fork();
        MUST(pid >= 0);
        if (pid == 0)
            end(ends[i].code, ends[i].signal);
        MUST(waitid(P_PID, pid, &info, WEXITED | WNOWAIT) == 0);
    }
}

static void take_zombies(void)
{
    bool seen[N] = {false};
    int status;

    for (int i = 0; i < N; i++) {
        CHECK(waitpid(-1, &status, WNOHANG) > 0);
        for (int k = 0; k < N; k++)
            if (status == ends[k].status && !seen[k]) {
                seen[k] = true;
                break;
            }
    }
    for (int k = 0; k < N; k++)
        CHECK(seen[k]);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

int main(int argc, char **argv)
{
    struct timespec none = {0, 0};
    siginfo_t info = {0};
    sigset_t child;

    victim_init(argc, argv);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    MUST(sigprocmask(SIG_BLOCK, &child, NULL) == 0);
    make_zombies();
    victim_ready();
    while (victim_wait()) {
        /* One SIGCHLD stays pending for all of them: that of the first. */
        CHECK_EQ(sigtimedwait(&child, &info, &none), SIGCHLD);
        CHECK_EQ(info.si_code, CLD_EXITED);
        CHECK_EQ(info.si_status, 0);
        CHECK(sigtimedwait(&child, &info, &none) < 0 && errno == EAGAIN);
        take_zombies();
        CHECK(sigtimedwait(&child, &info, &none) < 0 && errno == EAGAIN);
        make_zombies();
    }
    take_zombies();
    return tree_result();
}
