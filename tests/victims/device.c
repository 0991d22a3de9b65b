/*
 * device.c - /dev/null, zero, full, random, urandom
 */
#include "victim.h"

int main(int argc, char **argv)
{
    char buffer[16] = {1};

    victim_init(argc, argv);
    int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDONLY);
    int full = open("/dev/full", O_WRONLY | O_NONBLOCK);
    int random = open("/dev/random", O_RDONLY | O_NONBLOCK),
        urandom = open("/dev/urandom", O_RDONLY);
    MUST(null >= 0 && zero >= 0 && full >= 0 && random >= 0 && urandom >= 0);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(write(null, "x", 1), 1);
        CHECK_EQ(read(null, buffer, 1), 0);
        CHECK(read(zero, buffer, 16) == 16 && buffer[0] == 0 && buffer[15] == 0);
        errno = 0;
        CHECK(write(full, "x", 1) < 0 && errno == ENOSPC);
        CHECK(fcntl(full, F_GETFL) & O_NONBLOCK);
        CHECK(fcntl(random, F_GETFL) & O_NONBLOCK);
        CHECK_EQ(read(urandom, buffer, 16), 16);
    }
    return 0;
}
