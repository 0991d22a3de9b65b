/*
 * unix_records.c - pairs of record sockets: boundaries are kept, empty records too
 *
 * kinds: unix-socket
 * increments: no
 */
#include "unix_sockets.h"

#define LONG 60000

static char data[LONG], buffer[LONG + 1];

static void fill(int fd)
{
    CHECK(goes(fd, "", 0) && goes(fd, "one", 3) && goes(fd, "", 0) && goes(fd, "", 0));
    CHECK(goes(fd, "three", 5));
}

static void drain(int fd)
{
    CHECK(comes(fd, "", 0));
    CHECK(comes(fd, "one", 3));
    CHECK(comes(fd, "", 0));
    CHECK(comes(fd, "", 0));
    CHECK(comes(fd, "three", 5));
    CHECK(is_empty(fd));
}

int main(int argc, char **argv)
{
    int record[2], datagram[2], mixed[2];

    victim_init(argc, argv);
    for (int i = 0; i < LONG; i++)
        data[i] = i % 253;
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, record) == 0);
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram) == 0);
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, mixed) == 0);
    fill(record[0]);
    fill(record[1]);
    fill(datagram[0]);
    MUST(goes(datagram[1], "back", 4) && goes(mixed[0], data, LONG) && goes(mixed[0], "x", 1));

    victim_ready();
    while (victim_wait()) {
        drain(record[0]);
        drain(record[1]);
        drain(datagram[1]);
        CHECK(comes(datagram[0], "back", 4) && is_empty(datagram[0]));
        CHECK_EQ(recv(mixed[1], buffer, sizeof(buffer), MSG_DONTWAIT), LONG);
        CHECK(memcmp(buffer, data, LONG) == 0);
        CHECK(comes(mixed[1], "x", 1) && is_empty(mixed[1]) && is_empty(mixed[0]));

        fill(record[0]);
        fill(record[1]);
        fill(datagram[0]);
        CHECK(goes(datagram[1], "back", 4));
        CHECK(goes(mixed[0], data, LONG) && goes(mixed[0], "x", 1));
    }
    return 0;
}
