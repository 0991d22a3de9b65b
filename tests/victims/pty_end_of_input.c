/* pty_end_of_input.c - the end of input (^D) that waits in a pseudoterminal, once */
#include <poll.h>
#include <termios.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct pollfd p = {.events = POLLIN};
    char data[16];

    victim_init(argc, argv);
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    MUST(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    p.fd = open(ptsname(master), O_RDWR | O_NOCTTY);
    MUST(p.fd >= 0 && write(master, "\4", 1) == 1);
    MUST(poll(&p, 1, 60000) == 1);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(poll(&p, 1, 60000), 1);
        CHECK_EQ(read(p.fd, data, sizeof(data)), 0);
        CHECK_EQ(poll(&p, 1, 0), 0);
        CHECK_EQ(write(master, "\4", 1), 1);
        CHECK_EQ(poll(&p, 1, 60000), 1);
    }
    return 0;
}
