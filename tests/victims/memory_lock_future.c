/*
 * memory_lock_future.c - what will be mapped is locked (mlockall MCL_FUTURE)
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include "victim_smaps.h"

int main(int argc, char **argv)
{
    const struct rlimit limit = {8 << 20, 8 << 20};

    victim_init(argc, argv);
    setrlimit(RLIMIT_MEMLOCK, &limit);
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0) {
        perror("mlockall");
        return 77;
    }
    char *before = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(before != MAP_FAILED);
    before[0] = 'b';

    victim_ready();
    while (victim_wait()) {
        CHECK_MAPPING(before, "rw-p", "lo lf", "");
        CHECK(before[0] == 'b');
        char *now = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(now != MAP_FAILED);
        CHECK_MAPPING(now, "rw-p", "lo lf", "");
        CHECK(munmap(now, 8192) == 0);
    }
    return 0;
}
