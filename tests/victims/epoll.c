/*
 * epoll.c - an interest list: events, data, many entries
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "victim.h"

#define N 300

int main(int argc, char **argv)
{
    struct epoll_event event, events[N + 2];
    int fds[N], ends[2];

    victim_init(argc, argv);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    MUST(ep >= 0 && pipe(ends) == 0);
    for (int i = 0; i < N; i++) {
        fds[i] = eventfd(i % 3 == 0, EFD_NONBLOCK);
        event = (struct epoll_event){.events = EPOLLIN, .data.u64 = 0x1122334400000000 + i};
        MUST(fds[i] >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &event) == 0);
    }
    event = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP, .data.u64 = 9999};
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event) == 0);

    victim_ready();
    while (victim_wait()) {
        int n = epoll_wait(ep, events, N + 2, 0);
        CHECK_EQ(n, N / 3);
        for (int i = 0; i < n; i++) {
            CHECK_EQ(events[i].events, EPOLLIN);
            CHECK_EQ(events[i].data.u64 >> 32, 0x11223344);
            CHECK_EQ((events[i].data.u64 & 0xffffffff) % 3, 0);
        }
        MUST(write(ends[1], "x", 1) == 1);
        CHECK_EQ(epoll_wait(ep, events, N + 2, 0), N / 3 + 1);
        char c;
        MUST(read(ends[0], &c, 1) == 1);
        errno = 0;
        CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event) < 0 && errno == EEXIST);
        CHECK_EQ(fcntl(ep, F_GETFD), FD_CLOEXEC);
    }
    return 0;
}
