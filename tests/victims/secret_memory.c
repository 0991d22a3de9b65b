/*
 * secret_memory.c - secret memory can't be saved yet: the refusal names it
 *
 * refused: is a secret memory area (memfd_secret) (/secretmem
 */
#include <sys/syscall.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = syscall(447 /* memfd_secret */, 0);
    if (fd < 0) {
        perror("memfd_secret");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
