/*
 * memory_large.c - 256 MiB that don't compress, bit for bit
 * needs: 800 MiB
 */
#include <sys/mman.h>
#include "victim_smaps.h"

#define SIZE (256ul << 20)

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    uint8_t *m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(m != MAP_FAILED);
    victim_fill(m, SIZE, 12);
    victim_ready();
    while (victim_wait())
        CHECK(victim_same(m, SIZE, 12));
    return 0;
}
