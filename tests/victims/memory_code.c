/*
 * memory_code.c - code made at run time: readable, writable and executable at once, or after
 * another
 */
#include <sys/mman.h>
#include "victim_smaps.h"

static const uint8_t code[] = {0x8d, 0x87, 0x2a, 0, 0, 0, 0xc3}; /* lea 42(%rdi),%eax; ret */

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    uint8_t *rwx =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *rx = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(rwx != MAP_FAILED && rx != MAP_FAILED);
    memcpy(rwx, code, sizeof(code));
    memcpy(rx + 4090, code, sizeof(code)); /* over the end of a page */
    MUST(mprotect(rx, 8192, PROT_EXEC) == 0);
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(((int (*)(int))rwx)(1), 43);
        CHECK_EQ(((int (*)(int))(rx + 4090))(2), 44);
        CHECK_MAPPING(rwx, "rwxp", "ex wr", "");
        CHECK_MAPPING(rx, "--xp", "ex", "wr rd");
    }
    return 0;
}
