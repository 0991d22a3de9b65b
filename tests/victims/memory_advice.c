/*
 * memory_advice.c - what madvise(2), mlock(2) and mseal(2) have said about memory stays said
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include "victim_smaps.h"

#define SIZE (4 * 4096)

static uint8_t *area(int advice)
{
    uint8_t *m =
        mmap(NULL, SIZE + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    MUST(m != MAP_FAILED && mprotect(m + SIZE, 4096, PROT_NONE) == 0);
    memset(m, 1, SIZE);
    if (advice >= 0 && madvise(m, SIZE, advice) < 0) {
        MUST(errno == EINVAL); /* the kernel doesn't have it */
        return NULL;
    }
    return m;
}

int main(int argc, char **argv)
{
    static const struct {
        int advice;
        const char *flag;
    } advices[] = {
        {MADV_DONTFORK, "dc"},   {MADV_WIPEONFORK, "wf"}, {MADV_DONTDUMP, "dd"},
        {MADV_HUGEPAGE, "hg"},   {MADV_NOHUGEPAGE, "nh"}, {MADV_MERGEABLE, "mg"},
        {MADV_SEQUENTIAL, "sr"}, {MADV_RANDOM, "rr"},
    };
    uint8_t *areas[8];

    victim_init(argc, argv);
    for (int i = 0; i < 8; i++)
        areas[i] = area(advices[i].advice);
    uint8_t *locked = area(-1), *on_fault = area(-1), *plain = area(-1), *sealed = area(-1);
    MUST(mlock(locked, SIZE) == 0 && mlock2(on_fault, SIZE, MLOCK_ONFAULT) == 0);
    bool have_seal = syscall(462 /* mseal */, sealed, SIZE, 0) == 0;
    victim_ready();
    while (victim_wait()) {
        for (int i = 0; i < 8; i++) {
            if (!areas[i])
                continue;
            CHECK_MAPPING(areas[i], "rw-p", advices[i].flag, "lo");
            CHECK(areas[i][0] == 1 && areas[i][SIZE - 1] == 1);
        }
        CHECK_MAPPING(locked, "rw-p", "lo", "lf");
        CHECK_MAPPING(on_fault, "rw-p", "lo lf", "");
        CHECK_MAPPING(plain, "rw-p", "", "lo lf dc wf dd hg nh mg sr rr");
        CHECK(locked[5] == 1 && on_fault[5] == 1 && plain[5] == 1 && sealed[5] == 1);
        if (have_seal) {
            CHECK_MAPPING(sealed, "rw-p", "sl", "");
            CHECK(mprotect(sealed, SIZE, PROT_READ) < 0 && errno == EPERM);
        }
    }
    return 0;
}
