/*
 * memory_sparse.c - a reservation of 1 TiB with a few pages in it costs nothing
 */
#include <sys/mman.h>
#include "victim_smaps.h"

#define SIZE (1ull << 40)

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    uint8_t *m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint8_t *none = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(m != MAP_FAILED && none != MAP_FAILED);
    MUST(madvise(m, SIZE, MADV_NOHUGEPAGE) == 0);
    MUST(mprotect(none + SIZE / 2, 8192, PROT_READ | PROT_WRITE) == 0);
    for (uint64_t i = 0; i < 64; i++)
        victim_fill(m + i * (SIZE / 64), 4096, i);
    victim_fill(none + SIZE / 2, 8192, 100);
    victim_ready();
    while (victim_wait()) {
        struct victim_mapping s;
        CHECK(victim_find_mapping(m, &s));
        CHECK(s.end - s.start >= SIZE);
        CHECK_EQ(s.rss_kb, 64 * 4);
        CHECK(victim_has_flags(&s, "nr", "ac"));
        for (uint64_t i = 0; i < 64; i++)
            CHECK(victim_same(m + i * (SIZE / 64), 4096, i));
        CHECK(victim_same(none + SIZE / 2, 8192, 100));
        CHECK_MAPPING(none, "---p", "", "rd nr");
        CHECK_MAPPING(none + SIZE / 2, "rw-p", "", "");
        CHECK_MAPPING(none + SIZE / 2 + 8192, "---p", "", "rd nr");
    }
    return 0;
}
