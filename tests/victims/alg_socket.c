/*
 * alg_socket.c - a socket of the kernel's cryptography can't be saved yet: the refusal names it
 *
 * refused: is a socket of the kernel's cryptography (AF_ALG) (socket:[
 */
#include <sys/socket.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = socket(AF_ALG, SOCK_SEQPACKET, 0);
    if (fd < 0) {
        perror("AF_ALG");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
