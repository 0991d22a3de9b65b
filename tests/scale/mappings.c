/* mappings.c - 65000 mappings, each with a page of its own content */
#include <sys/mman.h>
#include "victim.h"

#define N_PAIRS   32500 /* of a page that may be written and one that may not */
#define N_OTHERS  300   /* the program's own, its libraries', and room for a restart */
#define PAIR_SIZE 8192ul

static unsigned count_mappings(const uint8_t *from, const uint8_t *to)
{
    FILE *file = fopen("/proc/self/maps", "re");
    unsigned long start, end;
    char line[1024];
    unsigned n = 0;

    MUST(file);
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start >= (uintptr_t)from &&
            end <= (uintptr_t)to)
            n++;
    fclose(file);
    return n;
}

static unsigned read_limit(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    unsigned n = 0;

    MUST(file && fscanf(file, "%u", &n) == 1);
    fclose(file);
    return n;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    if (read_limit() < 2 * N_PAIRS + N_OTHERS) {
        fprintf(stderr, "vm.max_map_count is lower than %lu\n", 2ul * N_PAIRS + N_OTHERS);
        return 77;
    }
    /* One page more, which keeps it apart from what is next to it. */
    uint8_t *m = mmap(NULL, N_PAIRS * PAIR_SIZE + 4096, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(m != MAP_FAILED && mprotect(m + N_PAIRS * PAIR_SIZE, 4096, PROT_NONE) == 0);
    for (uint64_t i = 0; i < N_PAIRS; i++) {
        *(uint64_t *)(m + i * PAIR_SIZE) = i;
        *(uint64_t *)(m + i * PAIR_SIZE + 4096) = ~i;
        MUST(mprotect(m + i * PAIR_SIZE, 4096, PROT_READ) == 0);
    }
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(count_mappings(m, m + N_PAIRS * PAIR_SIZE), 2 * N_PAIRS);
        for (uint64_t i = 0; i < N_PAIRS; i++)
            if (*(uint64_t *)(m + i * PAIR_SIZE) != i ||
                *(uint64_t *)(m + i * PAIR_SIZE + 4096) != ~i)
                victim_fail("pair %lu holds something else", i);
    }
    return 0;
}
