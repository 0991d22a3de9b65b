/*
 * deep_stack.c - a main stack whose mapping ends right below the stack pointer; it must be
 * checkpointed all the same, and grow after it
 */
#include <sys/resource.h>

#include "victim.h"

static __attribute__((noinline)) int dive(int depth)
{
    volatile char page[4096];

    memset((void *)page, depth, sizeof(page));
    int r = depth == 0 ? 0 : dive(depth - 1);
    for (size_t i = 0; i < sizeof(page); i += 512)
        r += page[i] != (char)depth;
    return r;
}

static uint64_t stack_start(void)
{
    char line[512];
    unsigned long start = 0;
    FILE *f = fopen("/proc/self/maps", "re");

    while (f && fgets(line, sizeof(line), f))
        if (strstr(line, "[stack]"))
            sscanf(line, "%lx", &start);
    if (f)
        fclose(f);
    return start;
}

/* Stand within a page or two of the end of the mapping. */
static int at_the_end(void)
{
    size_t room = (uint64_t)__builtin_frame_address(0) - stack_start();
    volatile char *space = __builtin_alloca(room > 12288 ? room - 8192 : 16);

    space[0] = 42;
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(space[0], 42);
        CHECK_EQ(dive(200), 0);
    }
    return 0;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    return at_the_end();
}
