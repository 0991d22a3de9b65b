/*
 * ldt.c - segments of a program's own
 * refused: has segments of its own (modify_ldt)
 */
#include <asm/ldt.h>
#include <sys/syscall.h>

#include "victim.h"

int main(int argc, char **argv)
{
    struct user_desc one = {.entry_number = 3, .limit = 0xfffff, .seg_32bit = 1, .useable = 1};

    victim_init(argc, argv);
    if (syscall(SYS_modify_ldt, 1, &one, sizeof(one)) != 0) {
        fprintf(stderr, "no segments here\n");
        return 77;
    }
    victim_ready();
    while (victim_wait())
        ;
    return 0;
}
