/*
 * tree_stopped.c - stopped children: one whose stop was waited for, one whose stop was not
 */
#include "victim_tree.h"

static volatile int *end;

static _Noreturn void sleep_on(void)
{
    while (!*end)
        victim_sleep_ms(2);
    _exit(31);
}

static void start_stopped(bool wait_for_it)
{
    siginfo_t info;
    int status;
    pid_t pid = fork();

    MUST(pid >= 0);
    if (pid == 0)
        sleep_on();
    MUST(kill(pid, SIGSTOP) == 0);
    if (wait_for_it)
        MUST(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    else
        MUST(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT) == 0);
}

/* The one whose stop is still to be told; 0: there is none. */
static pid_t told(void)
{
    siginfo_t info = {0};

    return waitid(P_ALL, 0, &info, WSTOPPED | WNOHANG | WNOWAIT) < 0 ? -1 : info.si_pid;
}

int main(int argc, char **argv)
{
    siginfo_t info;
    int status;

    victim_init(argc, argv);
    end = tree_share(sizeof(*end));
    start_stopped(true);
    start_stopped(false);
    victim_ready();
    while (victim_wait()) {
        pid_t pid = told();
        CHECK(pid > 0);
        CHECK(waitpid(-1, &status, WUNTRACED | WNOHANG) == pid && WIFSTOPPED(status) &&
              WSTOPSIG(status) == SIGSTOP);
        CHECK_EQ(told(), 0);
        CHECK_EQ(waitpid(-1, &status, WNOHANG), 0);
        /* as it was: it runs, and stops again */
        CHECK(kill(pid, SIGCONT) == 0);
        CHECK(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
        CHECK(kill(pid, SIGSTOP) == 0);
        CHECK(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT) == 0);
    }
    *end = 1;
    kill(0, SIGCONT);
    for (int i = 0; i < 2; i++)
        CHECK(waitpid(-1, &status, 0) > 0 && WEXITSTATUS(status) == 31);
    return tree_result();
}
