/*
 * memory_shared.c - shared anonymous memory: pages that are there but not in the page table, holes,
 * a part that can't be touched
 */
#include <sys/mman.h>
#include "victim_smaps.h"

#define N_PAGES 512
#define SIZE    (N_PAGES * 4096)

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    uint8_t *m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint8_t *other = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(m != MAP_FAILED && other != MAP_FAILED);
    for (int i = 0; i < N_PAGES / 2; i += 2)
        victim_fill(m + i * 4096, 4096, i);
    victim_fill(other, SIZE, 8);
    MUST(madvise(m, SIZE / 4, MADV_DONTNEED) == 0); /* out of the page table, not of the object */
    MUST(mprotect(other + SIZE / 2, SIZE / 2, PROT_NONE) == 0);
    MUST(munmap(other, SIZE / 4) == 0); /* a beginning that nobody sees any more */
    uint32_t round = 0;
    victim_ready();
    while (victim_wait()) {
        struct victim_mapping s;
        if (round == 0) {
            CHECK(victim_find_mapping(m, &s));
            CHECK(s.rss_kb <= SIZE / 1024 / 2);
        }
        for (int i = 0; i < N_PAGES / 2; i += 2)
            CHECK(victim_same(m + i * 4096, 4096, i));
        CHECK(m[4096] == 0 && m[SIZE - 1] == 0);
        CHECK_EQ(*(uint32_t *)(m + SIZE / 2 + 8), round);
        *(uint32_t *)(m + SIZE / 2 + 8) = ++round;
        CHECK_MAPPING(m, "rw-s", "sh", "");
        CHECK_MAPPING(other + SIZE / 2, "---s", "sh mw", "rd");
        CHECK(*(uint64_t *)(other + SIZE / 4) == victim_pattern(8, SIZE / 4 / 8));
        CHECK(mprotect(other + SIZE / 2, SIZE / 2, PROT_READ) == 0);
        CHECK(*(uint64_t *)(other + SIZE - 8) == victim_pattern(8, SIZE / 8 - 1));
        CHECK(mprotect(other + SIZE / 2, SIZE / 2, PROT_NONE) == 0);
    }
    return 0;
}
