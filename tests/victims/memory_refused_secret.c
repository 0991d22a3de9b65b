/*
 * memory_refused_secret.c - secret memory (memfd_secret) is refused
 * refused: secret memory
 */
#include <sys/mman.h>
#include "victim.h"

#define MEMFD_SECRET 447 /* its system call, of Linux 5.14 */

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = syscall(MEMFD_SECRET, O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "this kernel has no memfd_secret\n");
        return 77;
    }
    char *m = ftruncate(fd, 4096) == 0 ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                                       : MAP_FAILED;
    MUST(m != MAP_FAILED && close(fd) == 0);
    strcpy(m, "here");
    victim_ready();
    while (victim_wait())
        CHECK(strcmp(m, "here") == 0);
    return 0;
}
