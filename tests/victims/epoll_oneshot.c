/*
 * epoll_oneshot.c - an entry that fired stays silent until it is armed again; one that didn't fires
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "victim.h"

static void arm(int ep, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLONESHOT, .data.fd = fd};

    MUST(epoll_ctl(ep, operation, fd, &event) == 0);
}

/* Fire each once: what was written is taken again, so nothing but the entries' state is left. */
static void fire(int ep, int reader, int writer)
{
    struct epoll_event event;
    char c;

    MUST(write(writer, "x", 1) == 1 && epoll_wait(ep, &event, 1, 0) == 1);
    MUST(event.data.fd == reader && read(reader, &c, 1) == 1);
}

int main(int argc, char **argv)
{
    int a[2], b[2], full[2];
    struct epoll_event events[8];
    static char page[4096];
    char c;

    victim_init(argc, argv);
    int ep = epoll_create1(0), event = eventfd(1, 0);
    MUST(ep >= 0 && event >= 0 && pipe(a) == 0 && pipe(b) == 0 && pipe2(full, O_NONBLOCK) == 0);
    arm(ep, EPOLL_CTL_ADD, event, EPOLLIN);
    MUST(epoll_wait(ep, events, 8, 0) == 1); /* fired, and still readable */
    arm(ep, EPOLL_CTL_ADD, a[0], EPOLLIN);
    fire(ep, a[0], a[1]); /* fired, empty */
    arm(ep, EPOLL_CTL_ADD, full[1], EPOLLOUT);
    MUST(epoll_wait(ep, events, 8, 0) == 1);
    while (write(full[1], page, sizeof(page)) > 0)
        ;                                  /* fired, full */
    arm(ep, EPOLL_CTL_ADD, b[0], EPOLLIN); /* armed */

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(epoll_wait(ep, events, 8, 0), 0);
        CHECK_EQ(fcntl(full[0], F_GETPIPE_SZ), 65536);
        MUST(write(a[1], "x", 1) == 1);
        CHECK_EQ(epoll_wait(ep, events, 8, 0), 0);
        MUST(read(a[0], &c, 1) == 1);
        fire(ep, b[0], b[1]);
        arm(ep, EPOLL_CTL_MOD, b[0], EPOLLIN);
        arm(ep, EPOLL_CTL_MOD, event, EPOLLIN);
        CHECK(epoll_wait(ep, events, 8, 0) == 1 && events[0].data.fd == event);
        arm(ep, EPOLL_CTL_MOD, a[0], EPOLLIN);
        fire(ep, a[0], a[1]);
    }
    return 0;
}
