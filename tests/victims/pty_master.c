/*
 * pty_master.c - the master of a pseudoterminal can't be saved yet: the refusal names it
 *
 * refused: is a pseudoterminal's master (/dev/
 */
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = posix_openpt(O_RDWR | O_NOCTTY);
    MUST(fd >= 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
