/* pty_session_root.c - a pseudoterminal that is the controlling terminal of who holds its master */
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    setsid(); /* fails where it leads one already */
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    MUST(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) < 0) {
        fprintf(stderr, "can't lead a session\n");
        return 77;
    }

    victim_ready();
    while (victim_wait()) {
        CHECK(tcgetsid(slave) == getpid() && tcgetpgrp(slave) == getpid());
        int tty = open("/dev/tty", O_RDWR | O_NOCTTY);
        CHECK(tty >= 0 && tcgetsid(tty) == getpid());
        close(tty);
        CHECK(fcntl(master, F_GETFD) >= 0);
    }
    return 0;
}
