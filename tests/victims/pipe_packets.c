/*
 * pipe_packets.c - a pipe in packet mode (O_DIRECT) keeps the boundaries
 */
#include "victim.h"

static char big[4096], buffer[8192];

static void put(int fd)
{
    CHECK_EQ(write(fd, "four", 4), 4);
    CHECK_EQ(write(fd, "fives", 5), 5);
    CHECK_EQ(write(fd, big, sizeof(big)), (ssize_t)sizeof(big));
    CHECK_EQ(write(fd, "x", 1), 1);
}

int main(int argc, char **argv)
{
    int ends[2];

    victim_init(argc, argv);
    memset(big, 'b', sizeof(big));
    MUST(pipe2(ends, O_DIRECT) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    put(ends[1]);

    victim_ready();
    while (victim_wait()) {
        CHECK(fcntl(ends[1], F_GETFL) & O_DIRECT);
        CHECK(!(fcntl(ends[0], F_GETFL) & O_DIRECT));
        CHECK(read(ends[0], buffer, sizeof(buffer)) == 4 && memcmp(buffer, "four", 4) == 0);
        CHECK(read(ends[0], buffer, sizeof(buffer)) == 5 && memcmp(buffer, "fives", 5) == 0);
        CHECK(read(ends[0], buffer, sizeof(buffer)) == 4096 && memcmp(buffer, big, 4096) == 0);
        CHECK_EQ(read(ends[0], buffer, sizeof(buffer)), 1);
        errno = 0;
        CHECK(read(ends[0], buffer, 1) < 0 && errno == EAGAIN);
        put(ends[1]);
    }
    return 0;
}
