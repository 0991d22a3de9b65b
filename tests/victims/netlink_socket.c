/*
 * netlink_socket.c - a netlink socket can't be saved yet: the refusal names it
 *
 * refused: is a netlink socket (socket:[
 */
#include <sys/socket.h>
#include <linux/netlink.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    MUST(fd >= 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
