/*
 * unix_pair.c - pairs of stream sockets: data both ways, a lot of it, none
 *
 * kinds: unix-socket
 */
#include "unix_sockets.h"

#define MUCH 150000

static char data[MUCH], buffer[MUCH + 1];

/* All that waits, in as many calls as it takes. */
static ssize_t drain(int fd)
{
    size_t n = 0;

    for (;;) {
        ssize_t more = recv(fd, buffer + n, sizeof(buffer) - n, MSG_DONTWAIT);
        if (more <= 0)
            return n;
        n += more;
    }
}

static bool is_blocking(int fd)
{
    return !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

int main(int argc, char **argv)
{
    int pair[2], full[2], empty[2];

    victim_init(argc, argv);
    for (int i = 0; i < MUCH; i++)
        data[i] = i % 251;
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, full) == 0);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, empty) == 0);
    int again = dup(pair[0]);
    MUST(again >= 0 && goes(pair[0], "there", 5) && goes(pair[1], "and", 3) &&
         goes(pair[1], " back", 5));
    MUST(send(full[0], data, MUCH, MSG_DONTWAIT) == MUCH);

    victim_ready();
    while (victim_wait()) {
        CHECK(comes(pair[1], "there", 5) && is_empty(pair[1]));
        CHECK(comes(again, "and back", 8) && is_empty(pair[0]));
        CHECK_EQ(drain(full[1]), MUCH);
        CHECK(memcmp(buffer, data, MUCH) == 0 && is_empty(full[1]));
        CHECK(is_empty(full[0]) && is_empty(empty[0]) && is_empty(empty[1]));
        CHECK(has_name(pair[0], false, "") && has_name(pair[1], true, ""));
        CHECK_EQ(fcntl(pair[0], F_GETFD), FD_CLOEXEC);
        CHECK(is_blocking(pair[0]) && is_blocking(full[1]) && !is_blocking(empty[1]));
        CHECK_EQ(events_of(pair[0]), POLLOUT);

        CHECK(goes(empty[0], "x", 1) && comes(empty[1], "x", 1));
        CHECK(goes(pair[0], "there", 5) && goes(pair[1], "and back", 8));
        CHECK_EQ(send(full[0], data, MUCH, MSG_DONTWAIT), MUCH);
    }
    return 0;
}
