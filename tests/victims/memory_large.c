/*
 * memory_large.c - 256 MiB that don't compress, bit for bit; 32 MiB where all is slow
 * needs: 800 MiB
 */
#include <sys/mman.h>
#include "victim_smaps.h"

int main(int argc, char **argv)
{
    const size_t size = (getenv("CRS_TESTS_SLOW") ? 32ul : 256ul) << 20;

    victim_init(argc, argv);
    uint8_t *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(m != MAP_FAILED);
    victim_fill(m, size, 12);
    victim_ready();
    while (victim_wait())
        CHECK(victim_same(m, size, 12));
    return 0;
}
