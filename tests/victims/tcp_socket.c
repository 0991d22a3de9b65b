/*
 * tcp_socket.c - a TCP socket can't be saved yet: the refusal names it
 *
 * refused: is a TCP socket (socket:[
 */
#include <sys/socket.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    MUST(fd >= 0 && listen(fd, 1) == 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
