/*
 * eventfd.c - counters: a large one, an empty one
 */
#include <sys/eventfd.h>
#include "victim.h"

int main(int argc, char **argv)
{
    const uint64_t large = 0xfffffffffffffffe;
    uint64_t n = large;

    victim_init(argc, argv);
    int three = eventfd(3, 0), empty = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), full = eventfd(0, 0);
    MUST(three >= 0 && empty >= 0 && full >= 0 && write(full, &n, 8) == 8);

    victim_ready();
    while (victim_wait()) {
        CHECK(read(three, &n, 8) == 8 && n == 3);
        CHECK(write(three, &n, 8) == 8);
        errno = 0;
        CHECK(read(empty, &n, 8) < 0 && errno == EAGAIN);
        CHECK(read(full, &n, 8) == 8 && n == large);
        CHECK(write(full, &n, 8) == 8);
        CHECK_EQ(fcntl(three, F_GETFL) & O_NONBLOCK, 0);
        CHECK_EQ(fcntl(empty, F_GETFD), FD_CLOEXEC);
    }
    return 0;
}
