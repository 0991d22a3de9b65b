/*
 * fifo.c - named FIFOs inside the program: both ends with data, one end alone, read and write in
 * one
 */
#include <poll.h>
#include <sys/stat.h>
#include "victim.h"

int main(int argc, char **argv)
{
    char pair[5000], lone[5000], both[5000], buffer[16];

    victim_init(argc, argv);
    victim_path(pair, sizeof(pair), "pair");
    victim_path(lone, sizeof(lone), "lone");
    victim_path(both, sizeof(both), "both");
    MUST(mkfifo(pair, 0600) == 0 && mkfifo(lone, 0600) == 0 && mkfifo(both, 0600) == 0);
    int reader = open(pair, O_RDONLY | O_NONBLOCK), writer = open(pair, O_WRONLY);
    int alone = open(lone, O_RDONLY | O_NONBLOCK), rw = open(both, O_RDWR);
    MUST(reader >= 0 && writer >= 0 && alone >= 0 && rw >= 0);
    MUST(write(writer, "data", 4) == 4 && write(rw, "self", 4) == 4);

    victim_ready();
    while (victim_wait()) {
        CHECK(read(reader, buffer, sizeof(buffer)) == 4 && memcmp(buffer, "data", 4) == 0);
        errno = 0;
        CHECK(read(reader, buffer, 1) < 0 && errno == EAGAIN);
        CHECK_EQ(write(writer, "data", 4), 4);
        CHECK_EQ(fcntl(writer, F_GETFL) & O_NONBLOCK, 0);
        struct pollfd p = {.fd = alone, .events = POLLIN};
        CHECK_EQ(poll(&p, 1, 0), 0);
        CHECK(read(rw, buffer, sizeof(buffer)) == 4 && memcmp(buffer, "self", 4) == 0);
        CHECK_EQ(write(rw, "self", 4), 4);
    }
    return 0;
}
