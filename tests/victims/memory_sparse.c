/*
 * memory_sparse.c - a reservation of 1 TiB with a few pages in it costs nothing
 *
 * Kernels without PAGEMAP_SCAN walk all of it, which takes an emulated processor minutes: there it
 * is 64 GiB.
 */
#include <sys/mman.h>
#include "victim_smaps.h"

int main(int argc, char **argv)
{
    const uint64_t size = getenv("CRS_TESTS_SLOW") ? 1ull << 36 : 1ull << 40;

    victim_init(argc, argv);
    uint8_t *m = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint8_t *none = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(m != MAP_FAILED && none != MAP_FAILED);
    MUST(madvise(m, size, MADV_NOHUGEPAGE) == 0);
    MUST(mprotect(none + size / 2, 8192, PROT_READ | PROT_WRITE) == 0);
    for (uint64_t i = 0; i < 64; i++)
        victim_fill(m + i * (size / 64), 4096, i);
    victim_fill(none + size / 2, 8192, 100);
    victim_ready();
    while (victim_wait()) {
        struct victim_mapping s;
        CHECK(victim_find_mapping(m, &s));
        CHECK(s.end - s.start >= size);
        CHECK_EQ(s.rss_kb, 64 * 4);
        CHECK(victim_has_flags(&s, "nr", "ac"));
        for (uint64_t i = 0; i < 64; i++)
            CHECK(victim_same(m + i * (size / 64), 4096, i));
        CHECK(victim_same(none + size / 2, 8192, 100));
        CHECK_MAPPING(none, "---p", "", "rd nr");
        CHECK_MAPPING(none + size / 2, "rw-p", "", "");
        CHECK_MAPPING(none + size / 2 + 8192, "---p", "", "rd nr");
    }
    return 0;
}
