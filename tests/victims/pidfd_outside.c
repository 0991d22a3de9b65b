/*
 * pidfd_outside.c - a descriptor of a process that isn't part of the snapshot is refused
 *
 * refused: the process that it refers to isn't part of the checkpoint
 */
#include <sys/syscall.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = syscall(SYS_pidfd_open, 1, 0);
    MUST(fd >= 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
