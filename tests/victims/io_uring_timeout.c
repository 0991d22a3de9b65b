/*
 * io_uring_timeout.c - a request that is in flight can't be saved: it is known by its missing
 * answer
 *
 * refused: 1 of its requests are in flight
 */
#include <linux/time_types.h>
#include "victim_uring.h"

int main(int argc, char **argv)
{
    struct __kernel_timespec hour = {.tv_sec = 3600};
    struct ring r;

    victim_init(argc, argv);
    ring_make(&r, 4, 0);
    ring_spin(&r, 10);
    struct io_uring_sqe *sqe = ring_next(&r, IORING_OP_TIMEOUT, 1);
    sqe->addr = (uintptr_t)&hour;
    sqe->len = 1;
    ring_submit(&r, 0);
    victim_ready();
    while (victim_wait())
        CHECK_EQ(ring_waiting(&r), 0);
    return 0;
}
