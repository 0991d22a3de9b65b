/*
 * memory_anonymous.c - private anonymous memory: touched pages, untouched ones, pages of zeros
 * lazy: no
 */
#include <sys/mman.h>
#include "victim_smaps.h"

#define N_PAGES 2048
#define PAGE    4096

/* With a page behind it that keeps it apart from the next one. */
static void *area(void)
{
    uint8_t *m = mmap(NULL, (N_PAGES + 1) * PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    MUST(m != MAP_FAILED);
    MUST(madvise(m, N_PAGES * PAGE, MADV_NOHUGEPAGE) == 0);
    MUST(mprotect(m + N_PAGES * PAGE, PAGE, PROT_NONE) == 0);
    return m;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    uint8_t *sparse = area(), *zero = area(), *readonly = area();
    struct victim_mapping m;

    for (int i = 0; i < N_PAGES; i += 3)
        victim_fill(sparse + i * PAGE, PAGE, i);
    memset(zero, 0, N_PAGES * PAGE); /* present, and nothing but zeros */
    victim_fill(readonly, N_PAGES * PAGE, 77);
    MUST(mprotect(readonly, N_PAGES * PAGE, PROT_READ) == 0);
    victim_ready();
    while (victim_wait()) {
        /* As many pages as before: before looking at the others. */
        CHECK(victim_find_mapping(sparse, &m));
        CHECK_EQ(m.rss_kb, (N_PAGES + 2) / 3 * 4);
        CHECK(victim_find_mapping(zero, &m));
        CHECK(m.rss_kb == N_PAGES * 4 || m.rss_kb == 0);
        for (int i = 0; i < N_PAGES; i += 3)
            CHECK(victim_same(sparse + i * PAGE, PAGE, i));
        CHECK(sparse[PAGE] == 0 && sparse[2 * PAGE + 17] == 0);
        MUST(madvise(sparse + PAGE, 2 * PAGE, MADV_DONTNEED) == 0);
        for (int i = 0; i < N_PAGES * PAGE; i += 512)
            CHECK(zero[i] == 0);
        CHECK(victim_same(readonly, N_PAGES * PAGE, 77));
        CHECK_MAPPING(readonly, "r--p", "rd mr mw me", "wr");
        CHECK_MAPPING(sparse, "rw-p", "rd wr nh", "hg dc wf dd");
    }
    return 0;
}
