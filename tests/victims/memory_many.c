/*
 * memory_many.c - 40000 mappings; 4000 where all is slow
 */
#include <sys/mman.h>
#include "victim_smaps.h"

int main(int argc, char **argv)
{
    const uint64_t n_pairs = getenv("CRS_TESTS_SLOW") ? 2000 : 20000;

    victim_init(argc, argv);
    /* One page more, which keeps it apart from what is next to it. */
    uint8_t *m = mmap(NULL, n_pairs * 8192ul + 4096, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(m != MAP_FAILED && mprotect(m + n_pairs * 8192ul, 4096, PROT_NONE) == 0);
    for (uint64_t i = 0; i < n_pairs; i++) {
        *(uint64_t *)(m + i * 8192) = i;
        MUST(mprotect(m + i * 8192, 4096, i % 3 == 0 ? PROT_READ : PROT_READ | PROT_EXEC) == 0);
    }
    victim_ready();
    while (victim_wait()) {
        char line[1024];
        int n = 0;
        FILE *file = fopen("/proc/self/maps", "re");
        while (fgets(line, sizeof(line), file)) {
            unsigned long start, end;
            if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start >= (uintptr_t)m &&
                end <= (uintptr_t)m + n_pairs * 8192ul)
                n++;
        }
        fclose(file);
        CHECK_EQ(n, 2 * n_pairs);
        for (uint64_t i = 0; i < n_pairs; i++)
            if (*(uint64_t *)(m + i * 8192) != i || *(uint64_t *)(m + i * 8192 + 4096) != 0)
                victim_fail("mapping %lu holds something else", i);
        CHECK_MAPPING(m + 3 * 8192, "r--p", "", "ex");
        CHECK_MAPPING(m + 4 * 8192, "r-xp", "ex", "");
        MUST(madvise(m + 4096, 4096, MADV_DONTNEED) == 0);
    }
    return 0;
}
