/*
 * memory_heap.c - the heap: brk(2) is where it was, and can be moved on
 */
#include <malloc.h>
#include "victim_smaps.h"

#define SIZE (700 * 1024 + 123)

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    char *blocks[20];
    for (int i = 0; i < 20; i++) {
        MUST((blocks[i] = malloc(SIZE)));
        memset(blocks[i], i + 1, SIZE);
    }
    MUST(sbrk(12345 + (16 - (uintptr_t)sbrk(0) % 16)) != (void *)-1); /* not at a page's end */
    char *end = sbrk(0);
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ((uintptr_t)sbrk(0), (uintptr_t)end);
        for (int i = 0; i < 20; i++)
            CHECK(blocks[i][0] == i + 1 && blocks[i][SIZE - 1] == i + 1 &&
                  blocks[i][SIZE / 2] == i + 1);
        struct victim_mapping m;
        CHECK(victim_find_mapping(blocks[0], &m));
        CHECK(strcmp(m.name, "[heap]") == 0);
        /* Further, back, and the program's own allocator. */
        CHECK(sbrk(1 << 20) == end);
        end[(1 << 20) - 1] = 1;
        CHECK(sbrk(-(1 << 20)) != (void *)-1);
        CHECK_EQ((uintptr_t)sbrk(0), (uintptr_t)end);
        free(blocks[7]);
        CHECK((blocks[7] = malloc(SIZE)) != NULL);
        memset(blocks[7], 8, SIZE);
    }
    return 0;
}
