/*
 * signalfd.c - signals read through a descriptor, one of them waiting
 */
#include <signal.h>
#include <sys/signalfd.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct signalfd_siginfo info;
    sigset_t mask;

    victim_init(argc, argv);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigaddset(&mask, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    int fd = signalfd(-1, &mask, SFD_NONBLOCK);
    MUST(fd >= 0);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = 77});

    victim_ready();
    while (victim_wait()) {
        kill(getpid(), SIGUSR2); /* not of this descriptor */
        memset(&info, 0, sizeof(info));
        CHECK_EQ(read(fd, &info, sizeof(info)), (ssize_t)sizeof(info));
        CHECK_EQ(info.ssi_signo, (uint32_t)SIGRTMIN + 3);
        CHECK_EQ(info.ssi_int, 77);
        errno = 0;
        CHECK(read(fd, &info, sizeof(info)) < 0 && errno == EAGAIN);
        sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = 77});
    }
    return 0;
}
