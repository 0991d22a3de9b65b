/*
 * shadow_stack.c - a process with a shadow stack, where the processor and the kernel have it
 *
 * refused: shadow stack
 */
#include <sys/syscall.h>
#include "victim.h"

#define ARCH_SHSTK_ENABLE 0x5001
#define ARCH_SHSTK_SHSTK  1

int main(int argc, char **argv)
{
    long result = SYS_arch_prctl;

    victim_init(argc, argv);
    /* Not in a function: what was called before has no entry on the new shadow stack. */
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(ARCH_SHSTK_ENABLE), "S"(ARCH_SHSTK_SHSTK)
                     : "rcx", "r11", "memory");
    if (result < 0) {
        fprintf(stderr, "no shadow stacks (a processor with CET and Linux 6.6): %s\n",
                strerror((int)-result));
        exit(77);
    }
    victim_ready();
    while (victim_wait())
        ;
    exit(0);
}
