/*
 * packet_socket.c - a packet socket can't be saved yet: the refusal names it
 *
 * refused: is a packet socket (socket:[
 * situations: -user
 */
#include <sys/socket.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = socket(AF_PACKET, SOCK_DGRAM, 0);
    MUST(fd >= 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
