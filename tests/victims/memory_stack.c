/*
 * memory_stack.c - the stack: contents, and growth by deep recursion after the restart
 */
#include <sys/resource.h>
#include "victim_smaps.h"

static unsigned sum;

__attribute__((noinline)) static int dive(int depth)
{
    volatile char frame[4000];

    memset((char *)frame, depth & 127, sizeof(frame));
    int below = depth > 0 ? dive(depth - 1) : 0;
    sum += frame[17];
    return below + (frame[3999] == (depth & 127));
}

int main(int argc, char **argv)
{
    struct victim_mapping m;
    uint64_t local[512];

    victim_init(argc, argv);
    victim_fill(local, sizeof(local), 5);
    victim_ready();
    int depth = 100;
    while (victim_wait()) {
        CHECK(victim_same(local, sizeof(local), 5));
        CHECK(victim_find_mapping(local, &m));
        CHECK(strcmp(m.name, "[stack]") == 0);
        CHECK(victim_has_flags(&m, "gd rd wr", "ex"));
        depth += 300; /* 1.2 MB further each time, as far as the usual limit of 8 MiB allows */
        if (depth > 1500)
            depth = 1500;
        CHECK_EQ(dive(depth), depth + 1);
    }
    return 0;
}
