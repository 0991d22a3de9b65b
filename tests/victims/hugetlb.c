/*
 * hugetlb.c - a file of huge pages can't be saved yet: the refusal names it
 *
 * refused: is a file of huge pages (hugetlbfs) (/memfd:huge
 */
#include <sys/mman.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = memfd_create("huge", MFD_HUGETLB);
    if (fd < 0) {
        perror("memfd_create");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
