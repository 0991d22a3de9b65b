/*
 * pty_packet_sign.c - a sign of packet mode that its master has not read yet is refused
 *
 * refused: a sign of packet mode (TIOCPKT) was not read from it yet
 */
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include "victim.h"

int main(int argc, char **argv)
{
    int one = 1;
    unsigned char sign;

    victim_init(argc, argv);
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    MUST(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    MUST(slave >= 0 && ioctl(master, TIOCPKT, &one) == 0 && tcflush(slave, TCIFLUSH) == 0);

    victim_ready();
    while (victim_wait()) {
        struct pollfd p = {.fd = master, .events = POLLPRI};
        CHECK_EQ(poll(&p, 1, 0), 1);
        CHECK(read(master, &sign, 1) == 1 && sign == TIOCPKT_FLUSHREAD);
        CHECK_EQ(poll(&p, 1, 0), 0);
        CHECK(tcflush(slave, TCIFLUSH) == 0);
    }
    return 0;
}
