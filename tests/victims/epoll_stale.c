/*
 * epoll_stale.c - entries under numbers that were closed since: free now, or another file's
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "victim.h"

static void expect(int ep, int fd, uint64_t data)
{
    struct epoll_event event = {0};
    uint64_t n = 1;

    CHECK_EQ(epoll_wait(ep, &event, 1, 0), 0);
    MUST(write(fd, &n, 8) == 8);
    CHECK(epoll_wait(ep, &event, 1, 0) == 1 && event.data.u64 == data);
    MUST(read(fd, &n, 8) == 8);
}

int main(int argc, char **argv)
{
    struct epoll_event event = {.events = EPOLLIN};

    victim_init(argc, argv);
    int ep = epoll_create1(0), a = eventfd(0, 0), b = eventfd(0, 0), c = eventfd(0, 0);
    MUST(ep >= 0 && dup2(a, 50) == 50 && dup2(b, 51) == 51);
    event.data.u64 = 150;
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, 50, &event) == 0);
    event.data.u64 = 151;
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, 51, &event) == 0);
    close(50);                          /* free */
    MUST(dup3(c, 51, O_CLOEXEC) == 51); /* another file's, */
    event.data.u64 = 251;
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, 51, &event) == 0); /* which is watched too */

    victim_ready();
    while (victim_wait()) {
        expect(ep, a, 150);
        expect(ep, b, 151);
        expect(ep, c, 251);
        errno = 0;
        CHECK(fcntl(50, F_GETFD) < 0 && errno == EBADF);
        CHECK_EQ(fcntl(51, F_GETFD), FD_CLOEXEC);
        for (int fd = 52; fd < 60; fd++)
            CHECK(fcntl(fd, F_GETFD) < 0);
    }
    return 0;
}
