/*
 * io_uring_poll.c - a request that waits for a file to be ready can't be saved; it goes on waiting
 *
 * refused: 1 requests in it wait until a file is ready (the first: poll)
 */
#include <poll.h>
#include "victim_uring.h"

int main(int argc, char **argv)
{
    struct ring r;
    int ends[2];

    victim_init(argc, argv);
    ring_make(&r, 4, 0);
    MUST(pipe2(ends, O_CLOEXEC) == 0);
    struct io_uring_sqe *sqe = ring_next(&r, IORING_OP_POLL_ADD, 1);
    sqe->fd = ends[0];
    sqe->poll32_events = POLLIN;
    ring_submit(&r, 0);
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(ring_waiting(&r), 0);
        CHECK_EQ(*ring_word(&r, r.p.sq_off.head), r.sq_tail);
    }
    return 0;
}
