/*
 * memory_none.c - memory that can't be touched but holds data, and guard pages
 */
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include "victim_smaps.h"

#define SIZE  (32 * 4096)
#define GUARD 102 /* MADV_GUARD_INSTALL, of Linux 6.13 */

static sigjmp_buf out;

static void on_fault(int signal)
{
    siglongjmp(out, signal);
}

static bool faults(const volatile uint8_t *at)
{
    if (sigsetjmp(out, 1))
        return true;
    (void)*at;
    return false;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    uint8_t *none = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *guarded = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *reserved = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(none != MAP_FAILED && guarded != MAP_FAILED && reserved != MAP_FAILED);
    MUST(signal(SIGSEGV, on_fault) != SIG_ERR);
    victim_fill(none, SIZE, 6);
    MUST(mprotect(none, SIZE, PROT_NONE) == 0);
    victim_fill(guarded, SIZE, 7);
    bool have_guards =
        madvise(guarded, 4096, GUARD) == 0 && madvise(guarded + 9 * 4096, 2 * 4096, GUARD) == 0;
    victim_ready();
    while (victim_wait()) {
        CHECK(faults(none) && faults(none + SIZE - 1) && faults(reserved));
        CHECK_MAPPING(none, "---p", "mr mw", "rd wr ex");
        CHECK_MAPPING(reserved, "---p", "mr mw", "rd wr ex");
        CHECK(mprotect(none, SIZE, PROT_READ) == 0);
        CHECK(victim_same(none, SIZE, 6));
        CHECK(mprotect(none, SIZE, PROT_NONE) == 0);
        CHECK_MAPPING(guarded + 8 * 4096, "rw-p", "wr", "");
        CHECK_EQ(faults(guarded), have_guards);
        CHECK(!faults(guarded + 4096) && !faults(guarded + 8 * 4096));
        CHECK_EQ(faults(guarded + 9 * 4096), have_guards);
        CHECK_EQ(faults(guarded + 10 * 4096), have_guards);
        CHECK(*(uint64_t *)(guarded + 11 * 4096) == victim_pattern(7, 11 * 512));
    }
    return 0;
}
