/*
 * inet_socket.c - a socket of another internet protocol can't be saved yet: the refusal names it
 *
 * refused: is an internet socket of another protocol (socket:[
 */
#include <netinet/in.h>
#include <sys/socket.h>
#include "victim.h"

int main(int argc, char **argv)
{
    static const int protocols[] = {IPPROTO_MPTCP, IPPROTO_SCTP};
    int fd = -1;

    victim_init(argc, argv);
    for (size_t i = 0; fd < 0 && i < sizeof(protocols) / sizeof(protocols[0]); i++)
        fd = socket(AF_INET, SOCK_STREAM, protocols[i]);
    if (fd < 0) {
        perror("neither MPTCP nor SCTP");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
