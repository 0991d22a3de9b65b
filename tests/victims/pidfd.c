/*
 * pidfd.c - process descriptors: of the process itself, of a thread, of a process that has ended
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "victim.h"

static volatile sig_atomic_t n_signals;

static void count(int signal)
{
    n_signals++;
}

static void *idle(void *tid)
{
    *(pid_t *)tid = syscall(SYS_gettid);
    for (;;)
        pause();
}

static short events(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

int main(int argc, char **argv)
{
    volatile pid_t tid = 0;
    pthread_t thread;

    victim_init(argc, argv);
    signal(SIGUSR1, count);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0)
        _exit(3);
    int own = syscall(SYS_pidfd_open, getpid(), O_NONBLOCK);
    int ended = syscall(SYS_pidfd_open, child, 0);
    MUST(own >= 0 && ended >= 0 && waitpid(child, NULL, 0) == child && dup2(own, 50) == 50);
    MUST(pthread_create(&thread, NULL, idle, (void *)&tid) == 0);
    while (!tid)
        victim_sleep_ms(1);
    int of_thread = syscall(SYS_pidfd_open, tid, O_EXCL); /* PIDFD_THREAD, since Linux 6.9 */

    victim_ready();
    while (victim_wait()) {
        n_signals = 0;
        CHECK(syscall(SYS_pidfd_send_signal, own, SIGUSR1, NULL, 0) == 0);
        CHECK_EQ(n_signals, 1);
        CHECK(fcntl(own, F_GETFL) & O_NONBLOCK);
        CHECK(fcntl(own, F_GETFD) == FD_CLOEXEC && fcntl(50, F_GETFD) == 0);
        CHECK_EQ(events(own), 0);
        CHECK(events(ended) & POLLIN);
        CHECK(syscall(SYS_pidfd_send_signal, ended, 0, NULL, 0) < 0 && errno == ESRCH);
        if (of_thread < 0)
            continue;
        CHECK(fcntl(of_thread, F_GETFL) & O_EXCL);
        CHECK_EQ(events(of_thread), 0);
        CHECK(syscall(SYS_pidfd_send_signal, of_thread, 0, NULL, 0) == 0);
    }
    return 0;
}
