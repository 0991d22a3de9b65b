/*
 * epoll_nested.c - an instance that watches another one, added before the inner had entries
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1};
    uint64_t n = 1;

    victim_init(argc, argv);
    int outer = epoll_create1(0), middle = epoll_create1(0), inner = epoll_create1(0);
    int counter = eventfd(0, EFD_NONBLOCK);
    MUST(outer >= 0 && middle >= 0 && inner >= 0 && counter >= 0);
    MUST(epoll_ctl(outer, EPOLL_CTL_ADD, middle, &event) == 0);
    event.data.u64 = 2;
    MUST(epoll_ctl(middle, EPOLL_CTL_ADD, inner, &event) == 0);
    event.data.u64 = 3;
    MUST(epoll_ctl(inner, EPOLL_CTL_ADD, counter, &event) == 0);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(epoll_wait(outer, &event, 1, 0), 0);
        MUST(write(counter, &n, 8) == 8);
        CHECK(epoll_wait(outer, &event, 1, 0) == 1 && event.data.u64 == 1);
        CHECK(epoll_wait(middle, &event, 1, 0) == 1 && event.data.u64 == 2);
        CHECK(epoll_wait(inner, &event, 1, 0) == 1 && event.data.u64 == 3);
        MUST(read(counter, &n, 8) == 8 && n == 1);
        CHECK_EQ(epoll_wait(outer, &event, 1, 0), 0);
    }
    return 0;
}
