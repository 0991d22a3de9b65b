/*
 * unix_closed.c - the other end was closed, or shut down in part
 *
 * kinds: unix-socket
 */
#include "unix_sockets.h"

static int plain, rest, reset, record, datagram, client, half[2], deaf[2];

/* Closed after `text` was sent; with something unread, its end is a reset. */
static int closed(int type, const char *text, bool unread)
{
    int pair[2];

    MUST(socketpair(AF_UNIX, type, 0, pair) == 0);
    MUST(!text || goes(pair[1], text, strlen(text)));
    MUST(!unread || goes(pair[0], "unread", 6));
    close(pair[1]);
    return pair[0];
}

/* The client of a server that has said good-bye and is gone, name and all. */
static int left_behind(void)
{
    int listener = bound(SOCK_STREAM, "service");

    MUST(listen(listener, 1) == 0);
    int fd = connected(SOCK_STREAM, "service"), server = accept(listener, NULL, NULL);
    MUST(goes(server, "bye", 3) && close(server) == 0 && close(listener) == 0);
    MUST(unlink("service") == 0);
    return fd;
}

static void set_up(void)
{
    rest = closed(SOCK_STREAM, "rest", false);
    reset = closed(SOCK_STREAM, "last words", true);
    record = closed(SOCK_SEQPACKET, "one record", false);
    datagram = closed(SOCK_DGRAM, "one datagram", false);
    client = left_behind();
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, half) == 0 && goes(half[0], "all", 3));
    MUST(shutdown(half[0], SHUT_WR) == 0 && goes(half[1], "answer", 6));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, deaf) == 0 && goes(deaf[1], "before", 6));
    MUST(shutdown(deaf[0], SHUT_RD) == 0);
}

static void tear_down(void)
{
    const int all[] = {rest, reset, record, datagram, client, half[0], half[1], deaf[0], deaf[1]};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        close(all[i]);
}

static bool is_broken(int fd)
{
    return send(fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE;
}

static bool is_reset(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    MUST(chdir(victim_dir) == 0);
    plain = closed(SOCK_STREAM, NULL, false);
    set_up();

    victim_ready();
    while (victim_wait()) {
        CHECK(is_at_end(plain) && is_broken(plain));
        CHECK_EQ(events_of(plain), POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
        CHECK(comes(rest, "rest", 4) && is_at_end(rest) && is_broken(rest));
        CHECK(events_of(reset) & POLLERR);
        CHECK(comes(reset, "last words", 10) && is_reset(reset) && is_at_end(reset));
        CHECK(comes(record, "one record", 10) && is_at_end(record) && is_broken(record));
        CHECK(comes(datagram, "one datagram", 12) && is_empty(datagram));
        CHECK(send(datagram, "x", 1, MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED);
        CHECK(comes(client, "bye", 3) && is_at_end(client) && has_name(client, true, "service"));

        CHECK(comes(half[1], "all", 3) && is_at_end(half[1]) && is_broken(half[0]));
        CHECK(comes(half[0], "answer", 6) && is_empty(half[0]));
        CHECK(goes(half[1], "more", 4) && comes(half[0], "more", 4));
        CHECK(comes(deaf[0], "before", 6) && is_at_end(deaf[0]) && is_broken(deaf[1]));
        CHECK(goes(deaf[0], "on", 2) && comes(deaf[1], "on", 2) && is_empty(deaf[1]));
        tear_down();
        set_up();
    }
    return 0;
}
