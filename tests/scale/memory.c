/*
 * memory.c - 4 GiB of memory: half a GiB in one piece, the rest a page here and there
 *
 * The harness looks at what the tool takes for itself: it must not grow with this.
 */
#include <sys/mman.h>
#include "victim.h"

#define PAGE  4096ul
#define SIZE  (4ul << 30)
#define DENSE (512ul << 20)

static uint64_t rank(uint64_t page) /* pages behind the dense part: a tenth of them */
{
    return page * 0x9e3779b97f4a7c15ul >> 32;
}

static bool is_there(uint64_t page)
{
    return page < DENSE / PAGE || rank(page) % 10 == 0;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    uint8_t *m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST(m != MAP_FAILED && madvise(m, SIZE, MADV_NOHUGEPAGE) == 0);
    for (uint64_t i = 0; i < SIZE / PAGE; i++)
        if (is_there(i))
            *(uint64_t *)(m + i * PAGE) = ~i;
    victim_ready();
    while (victim_wait())
        for (uint64_t i = 0; i < SIZE / PAGE; i++)
            if (is_there(i) && *(uint64_t *)(m + i * PAGE) != ~i)
                victim_fail("page %lu holds something else", i);
    return 0;
}
