/*
 * io_uring_eventfd.c - which eventfd a ring tells of its answers can't be read
 *
 * refused: an eventfd is registered with it
 */
#include <sys/eventfd.h>
#include "victim_uring.h"

int main(int argc, char **argv)
{
    struct ring r;
    uint64_t count;

    victim_init(argc, argv);
    ring_make(&r, 4, 0);
    int fd = eventfd(0, EFD_CLOEXEC);
    MUST(fd >= 0);
    MUST(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_EVENTFD, &fd, 1) == 0);
    victim_ready();
    while (victim_wait()) {
        ring_spin(&r, 3);
        CHECK_EQ(read(fd, &count, sizeof(count)), sizeof(count));
        CHECK_EQ(count, 3);
    }
    return 0;
}
