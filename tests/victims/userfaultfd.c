/*
 * userfaultfd.c - a userfaultfd can't be saved yet: the refusal names it
 *
 * refused: is a userfaultfd (anon_inode:[userfaultfd])
 */
#include <sys/syscall.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC | 1); /* UFFD_USER_MODE_ONLY */
    if (fd < 0) {
        perror("userfaultfd");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
