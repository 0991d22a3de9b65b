/*
 * io_uring_thread.c - rings with a thread of the kernel, two of which share one; an epoll instance
 * watches one of them
 */
#include <poll.h>
#include <sys/epoll.h>
#include "victim_uring.h"

static void nudge(struct ring *r)
{
    ring_publish(r);
    if (*ring_word(r, r->p.sq_off.flags) & IORING_SQ_NEED_WAKEUP)
        CHECK(ring_enter(r, 0, 0, IORING_ENTER_SQ_WAKEUP) >= 0);
}

/* By the descriptor: the ring's thread answers when it comes to it. */
static void use(struct ring *r, int n)
{
    struct pollfd p = {.fd = r->fd, .events = POLLIN};

    for (int i = 0; i < n; i++) {
        ring_next(r, IORING_OP_NOP, i);
        nudge(r);
        CHECK_EQ(poll(&p, 1, 30000), 1);
        ring_expect(r, i, 0);
    }
}

static void check_epoll(int epoll, struct ring *r)
{
    struct epoll_event event = {0};

    CHECK_EQ(epoll_wait(epoll, &event, 1, 0), 0);
    ring_next(r, IORING_OP_NOP, 99);
    nudge(r);
    CHECK_EQ(epoll_wait(epoll, &event, 1, 30000), 1);
    CHECK_EQ(event.data.u64, 4711);
    ring_expect(r, 99, 0);
}

int main(int argc, char **argv)
{
    struct ring own, shared = {0};

    victim_init(argc, argv);
    ring_make(&own, 16, IORING_SETUP_SQPOLL);
    MUST(ring_try_attached(&shared, 8, IORING_SETUP_SQPOLL, own.fd));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 4711};
    MUST(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, own.fd, &event) == 0);
    use(&own, 40);
    use(&shared, 9);
    victim_ready();
    while (victim_wait()) {
        use(&own, 25);
        use(&shared, 30);
        check_epoll(epoll, &own);
    }
    return 0;
}
