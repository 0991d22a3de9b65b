/*
 * owner.c - a signal of the program's choice when a descriptor becomes ready (F_SETSIG, O_ASYNC)
 */
#include <signal.h>
#include "victim.h"

int main(int argc, char **argv)
{
    const struct timespec second = {5, 0}, now = {0, 0};
    struct f_owner_ex owner = {F_OWNER_PID, getpid()}, got;
    siginfo_t info;
    sigset_t mask;
    int ends[2];
    char c;

    victim_init(argc, argv);
    sigemptyset(&mask);
    sigaddset(&mask, SIGRTMIN + 2);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    MUST(pipe(ends) == 0 && fcntl(ends[0], F_SETSIG, SIGRTMIN + 2) == 0);
    MUST(fcntl(ends[0], F_SETOWN_EX, &owner) == 0);
    MUST(fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK) == 0);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(fcntl(ends[0], F_GETFL) & (O_ASYNC | O_NONBLOCK), O_ASYNC | O_NONBLOCK);
        CHECK_EQ(fcntl(ends[0], F_GETSIG), SIGRTMIN + 2);
        CHECK_EQ(fcntl(ends[0], F_GETOWN_EX, &got), 0);
        CHECK_EQ(got.pid, getpid());
        MUST(write(ends[1], "x", 1) == 1);
        CHECK_EQ(sigtimedwait(&mask, &info, &second), SIGRTMIN + 2);
        CHECK_EQ(info.si_fd, ends[0]);
        MUST(read(ends[0], &c, 1) == 1);
        while (sigtimedwait(&mask, &info, &now) > 0)
            ;
    }
    return 0;
}
