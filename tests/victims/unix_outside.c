/*
 * unix_outside.c - a socket whose other end another program holds
 *
 * kinds: unix-socket
 * isolated: saved (who is outside is taken in by the supervisor)
 * refused: is a unix socket (socket:[
 */
#include "unix_sockets.h"
#include "victim_outside.h"

static int pair[2];

/* It gives back what it gets. */
static void hold(void *arg)
{
    char byte;

    close(pair[0]);
    outside_held();
    while (outside_stays())
        if (recv(pair[1], &byte, 1, MSG_DONTWAIT) == 1)
            goes(pair[1], &byte, 1);
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    outside_start(hold, NULL);
    MUST(close(pair[1]) == 0);

    victim_ready();
    while (victim_wait()) {
        char byte = 0;
        CHECK(goes(pair[0], "e", 1) && recv(pair[0], &byte, 1, 0) == 1 && byte == 'e');
    }
    return 0;
}
