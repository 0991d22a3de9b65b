/*
 * other.c - a kind of object that no row knows: the refusal says so (here: a mount being
 * configured)
 *
 * refused: is an object of an unknown kind (anon_inode:[fscontext])
 * situations: -user
 */
#include <sys/syscall.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = syscall(SYS_fsopen, "tmpfs", 0);
    MUST(fd >= 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
