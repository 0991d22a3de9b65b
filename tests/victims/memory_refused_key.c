/*
 * memory_refused_key.c - memory with a protection key is refused; memory that may only be executed,
 * for which the kernel uses a key itself, is in memory_code.c
 * refused: memory protection key
 */
#include <sys/mman.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int key = pkey_alloc(0, 0);
    if (key < 0) {
        fprintf(stderr, "this processor has no protection keys\n");
        return 77;
    }
    MUST(m != MAP_FAILED && pkey_mprotect(m, 4096, PROT_READ | PROT_WRITE, key) == 0);
    strcpy(m, "here");
    victim_ready();
    while (victim_wait())
        CHECK(strcmp(m, "here") == 0);
    return 0;
}
