/*
 * pidfd.c - a process descriptor can't be saved yet: the refusal names it
 *
 * refused: is a process descriptor (pidfd) (
 */
#include <sys/syscall.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = syscall(SYS_pidfd_open, getpid(), 0);
    MUST(fd >= 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
