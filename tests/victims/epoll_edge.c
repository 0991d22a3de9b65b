/*
 * epoll_edge.c - edge-triggered entries report each arrival, not a state
 */
#include <sys/epoll.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 5};
    int ends[2];
    char c;

    victim_init(argc, argv);
    int ep = epoll_create1(0);
    MUST(ep >= 0 && pipe(ends) == 0 && epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event) == 0);
    MUST(write(ends[1], "a", 1) == 1); /* not asked for yet */

    victim_ready();
    while (victim_wait()) {
        event.data.u64 = 0;
        CHECK(epoll_wait(ep, &event, 1, 0) == 1 && event.data.u64 == 5);
        CHECK_EQ(epoll_wait(ep, &event, 1, 0), 0);
        MUST(write(ends[1], "b", 1) == 1);
        CHECK_EQ(epoll_wait(ep, &event, 1, 0), 1);
        MUST(read(ends[0], &c, 1) == 1 && read(ends[0], &c, 1) == 1);
        CHECK_EQ(epoll_wait(ep, &event, 1, 0), 0);
        MUST(write(ends[1], "a", 1) == 1);
    }
    return 0;
}
