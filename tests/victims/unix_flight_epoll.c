/*
 * unix_flight_epoll.c - an epoll instance that is only on its way can't be built up by anybody
 *
 * kinds: unix-socket
 * refused: a descriptor on its way through the unix socket fd 3 is an epoll instance
 */
#include <sys/epoll.h>

#include "unix_sockets.h"

int main(int argc, char **argv)
{
    int pair[2], epoll;
    struct epoll_event event = {.events = EPOLLIN};

    victim_init(argc, argv);
    closefrom(3);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pair[0] == 3);
    MUST((epoll = epoll_create1(0)) >= 0);
    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &event) == 0);
    MUST(goes_with(pair[1], "e", 1, &epoll, 1) && close(epoll) == 0);

    victim_ready();
    while (victim_wait()) {
        CHECK(comes_with(pair[0], "e", 1, &epoll, 1));
        CHECK(epoll_wait(epoll, &event, 1, 0) == 0);
        CHECK(goes_with(pair[1], "e", 1, &epoll, 1));
        CHECK(epoll_wait(epoll, &event, 1, 0) == 1);
        close(epoll);
    }
    return 0;
}
