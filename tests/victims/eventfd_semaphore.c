/*
 * eventfd_semaphore.c - a counter that gives one at a time
 */
#include <sys/eventfd.h>
#include "victim.h"

int main(int argc, char **argv)
{
    uint64_t n, two = 2;

    victim_init(argc, argv);
    int fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK),
        zero = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
    MUST(fd >= 0 && zero >= 0);

    victim_ready();
    while (victim_wait()) {
        CHECK(read(fd, &n, 8) == 8 && n == 1);
        CHECK(read(fd, &n, 8) == 8 && n == 1);
        CHECK(read(fd, &n, 8) < 0 && errno == EAGAIN);
        CHECK(write(fd, &two, 8) == 8);
        CHECK(read(zero, &n, 8) < 0 && errno == EAGAIN);
        CHECK(write(zero, &two, 8) == 8);
        CHECK(read(zero, &n, 8) == 8 && n == 1);
        CHECK(read(zero, &n, 8) == 8 && n == 1);
    }
    return 0;
}
