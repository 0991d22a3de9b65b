/*
 * memory_refused_huge.c - hugetlbfs memory is refused
 * refused: hugetlbfs
 */
#include <sys/mman.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    char *m = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
                   -1, 0);
    if (m == MAP_FAILED) {
        fprintf(stderr, "no huge pages are reserved\n");
        return 77;
    }
    strcpy(m, "here");
    victim_ready();
    while (victim_wait())
        CHECK(strcmp(m, "here") == 0);
    return 0;
}
