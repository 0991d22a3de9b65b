/*
 * pty_input.c - input of a pseudoterminal that was not read yet is refused
 *
 * refused: there is input in it that was not read yet
 */
#include <poll.h>
#include <termios.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    MUST(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    MUST(slave >= 0 && write(master, "unread\n", 7) == 7);

    victim_ready();
    while (victim_wait()) {
        struct pollfd p = {.fd = slave, .events = POLLIN};
        char data[16] = "";
        CHECK_EQ(poll(&p, 1, 5000), 1);
        CHECK_EQ(read(slave, data, sizeof(data)), 7);
        CHECK(strcmp(data, "unread\n") == 0);
        CHECK_EQ(write(master, "unread\n", 7), 7);
    }
    return 0;
}
