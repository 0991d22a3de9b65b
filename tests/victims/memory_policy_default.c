/*
 * memory_policy_default.c - the first thread has a policy, most mappings have none of their own
 */
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "victim.h"

static int policy_of(const void *address)
{
    int mode = -1;

    return syscall(SYS_get_mempolicy, &mode, NULL, 0UL, address, address ? MPOL_F_ADDR : 0) < 0
               ? -1
               : mode;
}

int main(int argc, char **argv)
{
    unsigned long node0 = 1;
    int on_stack;

    victim_init(argc, argv);
    if (syscall(SYS_set_mempolicy, MPOL_BIND, &node0, 64UL) < 0) {
        fprintf(stderr, "a kernel without NUMA\n");
        return 77;
    }
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(p != MAP_FAILED && syscall(SYS_mbind, p, 8192UL, MPOL_LOCAL, NULL, 0UL, 0) == 0);
    *p = 1;
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(policy_of(NULL), MPOL_BIND);
        CHECK_EQ(policy_of(p), MPOL_LOCAL);
        CHECK_EQ(policy_of(&on_stack), MPOL_DEFAULT);
    }
    return 0;
}
