/*
 * unix_backlog.c - connections that aren't accepted yet, in their order
 *
 * kinds: unix-socket
 */
#include "unix_sockets.h"

static int listener, clients[3];

/* The second has gone already, the last will send no more, the third has a name. */
static void connect_all(void)
{
    clients[0] = connected(SOCK_STREAM, "service");
    close(connected(SOCK_STREAM, "service"));
    clients[1] = bound(SOCK_STREAM, "client");
    MUST(connect_to(clients[1], "service") == 0 && unlink("client") == 0);
    clients[2] = connected(SOCK_STREAM, "service");
    MUST(shutdown(clients[2], SHUT_WR) == 0);
}

static void check_connection(int client, const char *name)
{
    int server = accept(listener, NULL, NULL);

    CHECK(server >= 0 && has_name(server, true, name) && goes(server, "x", 1));
    CHECK(comes(client, "x", 1));
    if (client != clients[2])
        CHECK(goes(client, "y", 1) && comes(server, "y", 1) && is_empty(server));
    else
        CHECK(is_at_end(server) && send(client, "y", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
    close(server);
    close(client);
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    MUST(chdir(victim_dir) == 0);
    listener = bound(SOCK_STREAM, "service");
    MUST(listen(listener, 3) == 0 && fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
    connect_all();

    victim_ready();
    while (victim_wait()) {
        /* Four wait and four may: there is no room for a fifth. */
        int fifth = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        CHECK(connect_to(fifth, "service") < 0 && errno == EAGAIN);
        close(fifth);

        check_connection(clients[0], "");
        int gone = accept(listener, NULL, NULL);
        CHECK(gone >= 0 && is_at_end(gone));
        close(gone);
        check_connection(clients[1], "client");
        check_connection(clients[2], "");
        CHECK(accept(listener, NULL, NULL) < 0 && errno == EAGAIN);
        connect_all();
    }
    return 0;
}
