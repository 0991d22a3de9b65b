/*
 * unix_socket.c - a unix socket can't be saved yet: the refusal names it
 *
 * refused: is a unix socket (socket:[
 */
#include <sys/socket.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int pair[2], fd;

    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    fd = pair[0];

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
