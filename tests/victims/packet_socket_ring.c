/*
 * packet_socket_ring.c - a packet socket with a ring of shared memory is refused
 *
 * refused: is a packet socket (socket:[
 * situations: -user
 */
#include <linux/if_packet.h>
#include <sys/socket.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct tpacket_req ring = {4096, 2, 2048, 4};

    victim_init(argc, argv);
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    if (fd < 0) {
        perror("packet socket");
        return 77;
    }
    MUST(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)) == 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
