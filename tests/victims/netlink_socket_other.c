/*
 * netlink_socket_other.c - netlink sockets of a protocol with a state behind them are refused
 *
 * kinds: other-netlink-socket
 * refused: is a netlink socket of another protocol (socket:[
 */
#include <linux/netlink.h>
#include <sys/socket.h>
#include "victim.h"

int main(int argc, char **argv)
{
    static const int protocols[] = {NETLINK_NETFILTER, NETLINK_XFRM, NETLINK_AUDIT,
                                    NETLINK_CONNECTOR, NETLINK_CRYPTO};
    int fd = -1;

    victim_init(argc, argv);
    for (size_t i = 0; fd < 0 && i < sizeof(protocols) / sizeof(protocols[0]); i++)
        fd = socket(AF_NETLINK, SOCK_RAW, protocols[i]);
    if (fd < 0) {
        fprintf(stderr, "no such socket can be made\n");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
