/*
 * vsock_socket.c - a socket to a virtual machine can't be saved yet: the refusal names it
 *
 * refused: is a socket between a virtual machine and its host (socket:[
 */
#include <sys/socket.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0) {
        perror("AF_VSOCK");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
