/*
 * memory_huge.c - transparent huge pages: asked for with MADV_HUGEPAGE, there again afterwards
 * lazy: no
 * needs: 200 MiB
 */
#include <sys/mman.h>
#include "victim_smaps.h"

#define SIZE (64ul << 20)
#define HUGE (2ul << 20)

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    uint8_t *area =
        mmap(NULL, SIZE + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(area != MAP_FAILED);
    uint8_t *m = (uint8_t *)(((uintptr_t)area + HUGE - 1) & ~(HUGE - 1));
    bool have_huge = madvise(m, SIZE, MADV_HUGEPAGE) == 0;
    struct victim_mapping s;
    victim_fill(m, SIZE, 1);
    MUST(victim_find_mapping(m, &s));
    long huge_kb = s.huge_kb;
    victim_ready();
    while (victim_wait()) {
        CHECK(victim_find_mapping(m, &s));
        CHECK(!have_huge || victim_has_flags(&s, "hg", "nh"));
        CHECK(s.huge_kb >= huge_kb * 9 / 10);
        CHECK(victim_same(m, SIZE, 1));
    }
    return 0;
}
