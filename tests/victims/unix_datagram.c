/*
 * unix_datagram.c - datagram sockets by name: connected, not connected, to names that are gone;
 * what waits in them has the names of its senders
 *
 * kinds: unix-socket
 * increments: no
 */
#include "unix_sockets.h"

static int server, client, nameless, gone, orphan;

/* A message from a socket that is closed by now. */
static void from_stranger(const char *name)
{
    int fd = bound(SOCK_DGRAM, name);
    struct sockaddr_un address;
    socklen_t size = address_of("server", &address);

    CHECK_EQ(sendto(fd, "stranger", 8, MSG_DONTWAIT, (struct sockaddr *)&address, size), 8);
    close(fd);
    unlink(name);
}

static void fill(void)
{
    CHECK(goes(client, "client", 6));
    from_stranger("stranger");
    CHECK(goes(nameless, "", 0));
    CHECK(goes(gone, "gone", 4));
    from_stranger("@stranger");
}

static bool comes_from(int fd, const char *text, const char *name)
{
    struct sockaddr_un wanted, address = {0};
    socklen_t size = sizeof(address), wanted_size = address_of(name, &wanted);
    char buffer[100];
    ssize_t n =
        recvfrom(fd, buffer, sizeof(buffer), MSG_DONTWAIT, (struct sockaddr *)&address, &size);

    if (n != (ssize_t)strlen(text) || memcmp(buffer, text, n) != 0)
        return false;
    if (!name[0])
        return size == 0;
    return size == wanted_size && memcmp(&address, &wanted, size) == 0;
}

int main(int argc, char **argv)
{
    int itself, pair[2], one_way[2];

    victim_init(argc, argv);
    MUST(chdir(victim_dir) == 0);
    server = bound(SOCK_DGRAM, "server");
    client = bound(SOCK_DGRAM, "client");
    gone = bound(SOCK_DGRAM, "gone");
    nameless = connected(SOCK_DGRAM, "server");
    MUST(connect_to(client, "server") == 0 && connect_to(gone, "server") == 0);
    MUST(unlink("gone") == 0);
    fill();

    int dead = bound(SOCK_DGRAM, "dead");
    orphan = connected(SOCK_DGRAM, "dead");
    close(dead);
    MUST(unlink("dead") == 0);
    itself = bound(SOCK_DGRAM, "itself");
    MUST(connect_to(itself, "itself") == 0 && goes(itself, "self", 4));
    /* A pair of which one end sends to somebody else now. */
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, one_way) == 0 && connect_to(one_way[1], "server") == 0);
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 && goes(pair[0], "a", 1));
    int end = bound(SOCK_DGRAM, "end"), chain = bound(SOCK_DGRAM, "chain");
    int before = connected(SOCK_DGRAM, "chain");
    MUST(connect_to(chain, "end") == 0 && goes(chain, "link", 4));

    victim_ready();
    while (victim_wait()) {
        CHECK(comes_from(server, "client", "client") && comes_from(server, "stranger", "stranger"));
        CHECK(comes_from(server, "", "") && comes_from(server, "gone", "gone"));
        CHECK(comes_from(server, "stranger", "@stranger") && is_empty(server));
        CHECK(has_name(client, true, "server") && has_name(gone, false, "gone"));
        CHECK(has_name(nameless, false, "") && has_name(nameless, true, "server"));
        CHECK(access("gone", F_OK) < 0 && access("stranger", F_OK) < 0);
        fill();

        CHECK(has_name(orphan, true, "dead") && access("dead", F_OK) < 0);
        CHECK(send(orphan, "x", 1, MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED);
        close(orphan);
        dead = bound(SOCK_DGRAM, "dead");
        orphan = connected(SOCK_DGRAM, "dead");
        close(dead);
        MUST(unlink("dead") == 0);

        CHECK(comes_from(itself, "self", "itself") && goes(itself, "self", 4));
        CHECK(comes(pair[1], "a", 1) && is_empty(pair[0]) && goes(pair[0], "a", 1));
        CHECK(send(one_way[0], "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPERM);
        CHECK(has_name(one_way[1], true, "server") && has_name(one_way[0], true, ""));
        CHECK(has_name(chain, true, "end") && has_name(before, true, "chain"));
        CHECK(send(before, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPERM);
        CHECK(comes_from(end, "link", "chain") && goes(chain, "link", 4));
    }
    return 0;
}
