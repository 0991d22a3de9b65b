/*
 * memory_lock_now.c - some memory is locked, what will be mapped isn't
 *
 * situations: -root
 */
#include <sys/mman.h>
#include "victim_smaps.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    char *locked = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(locked != MAP_FAILED);
    if (mlock(locked, 8192) < 0) {
        perror("mlock");
        return 77;
    }

    victim_ready();
    while (victim_wait()) {
        CHECK_MAPPING(locked, "rw-p", "lo", "");
        char *now = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(now != MAP_FAILED);
        CHECK_MAPPING(now, "rw-p", "", "lo");
        CHECK(munmap(now, 8192) == 0);
    }
    return 0;
}
