/*
 * socket.c - a socket of a family that no row knows: the refusal says so
 *
 * refused: is a socket of another family (socket:[
 */
#include <sys/socket.h>
#include "victim.h"

int main(int argc, char **argv)
{
    static const struct {
        int family, type, protocol;
    } rare[] = {
        {AF_XDP, SOCK_RAW, 0},     {AF_KEY, SOCK_RAW, 2},       {AF_CAN, SOCK_RAW, 1},
        {AF_TIPC, SOCK_STREAM, 0}, {AF_RDS, SOCK_SEQPACKET, 0}, {AF_BLUETOOTH, SOCK_SEQPACKET, 0},
    };
    int fd = -1;

    victim_init(argc, argv);
    for (size_t i = 0; fd < 0 && i < sizeof(rare) / sizeof(rare[0]); i++)
        fd = socket(rare[i].family, rare[i].type, rare[i].protocol);
    if (fd < 0) {
        fprintf(stderr, "no socket of a rare family can be made\n");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
