/*
 * unix_early.c - data in a connection that isn't accepted yet can be read by nobody
 *
 * kinds: unix-socket
 * refused: in a connection that the program hasn't accepted yet
 */
#include "unix_sockets.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    MUST(chdir(victim_dir) == 0);
    int listener = bound(SOCK_STREAM, "service");
    MUST(listen(listener, 3) == 0);
    int client = connected(SOCK_STREAM, "service");
    MUST(goes(client, "early", 5));

    victim_ready();
    while (victim_wait()) {
        int server = accept(listener, NULL, NULL);
        CHECK(server >= 0 && comes(server, "early", 5));
        close(server);
        close(client);
        client = connected(SOCK_STREAM, "service");
        CHECK(goes(client, "early", 5));
    }
    return 0;
}
