/*
 * inet_socket.c - a raw socket can't be saved yet: the refusal names it
 *
 * refused: is an internet socket other than TCP and UDP (socket:[
 * situations: -user
 */
#include <netinet/in.h>
#include <sys/socket.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    MUST(fd >= 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
