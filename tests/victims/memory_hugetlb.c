/*
 * memory_hugetlb.c - memory of huge pages: private, shared between processes, with and without
 * reservation
 *
 * hugepages: 12
 */
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "victim_smaps.h"

#define HUGE (2ul << 20)

static uint8_t *map(size_t size, int flags)
{
    uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                           MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB | flags, -1, 0);

    if (memory != MAP_FAILED)
        return memory;
    fprintf(stderr, "no huge pages: %s\n", strerror(errno));
    _exit(77);
}

int main(int argc, char **argv)
{
    uint32_t round = 0;

    victim_init(argc, argv);
    uint8_t *own = map(3 * HUGE, MAP_PRIVATE), *shared = map(2 * HUGE, MAP_SHARED);
    uint8_t *sparse = map(512 * HUGE, MAP_PRIVATE | MAP_NORESERVE);
    victim_fill(own + 100 * 4096, 3 * 4096, 1);
    victim_fill(own + HUGE, HUGE, 2);
    victim_fill(sparse + 400 * HUGE + 4096, 4096, 3);
    MUST(mprotect(own, HUGE, PROT_READ) == 0 && madvise(own, 3 * HUGE, MADV_DONTFORK) == 0);
    /* What another process wrote into the shared memory is in no page table of ours. */
    pid_t pid = fork();
    if (pid == 0) {
        victim_fill(shared + HUGE, 2 * 4096, 4);
        _exit(0);
    }
    MUST(pid > 0 && waitpid(pid, NULL, 0) == pid);

    victim_ready();
    while (victim_wait()) {
        CHECK(victim_same(own + 100 * 4096, 3 * 4096, 1) && victim_same(own + HUGE, HUGE, 2));
        CHECK(own[0] == 0 && own[2 * HUGE] == 0);
        CHECK(victim_same(sparse + 400 * HUGE + 4096, 4096, 3) && sparse[400 * HUGE] == 0);
        CHECK(victim_same(shared + HUGE, 2 * 4096, 4));
        CHECK(memcmp(shared, &round, 4) == 0);
        round++;
        pid = fork();
        if (pid == 0) {
            memcpy(shared, &round, 4);
            _exit(0);
        }
        CHECK(pid > 0 && waitpid(pid, NULL, 0) == pid);
        CHECK(memcmp(shared, &round, 4) == 0); /* it is shared still */
        CHECK_MAPPING(own, "r--p", "ht dc", "wr");
        CHECK_MAPPING(own + HUGE, "rw-p", "ht dc", "nr");
        CHECK_MAPPING(shared, "rw-s", "ht sh", "nr");
        CHECK_MAPPING(sparse, "rw-p", "ht nr", "");
        CHECK(munmap(own, 4096) < 0); /* of whole huge pages */
    }
    return 0;
}
