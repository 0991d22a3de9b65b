/*
 * memory_policy.c - on which nodes memory is allocated: of threads, and of mappings
 * link: -pthread
 */
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "victim.h"

#define SIZE (64 * 4096UL)

static unsigned long node0 = 1;

static int policy_of(const void *address)
{
    unsigned long nodes[16] = {0};
    int mode = -1;

    if (syscall(SYS_get_mempolicy, &mode, nodes, 1024UL, address, address ? MPOL_F_ADDR : 0) < 0)
        return -1;
    return mode | (int)nodes[0] << 20;
}

static void *map(int flags, int mode)
{
    char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

    MUST(p != MAP_FAILED);
    MUST(mode < 0 || syscall(SYS_mbind, p, SIZE, mode, &node0, 64UL, 0) == 0);
    memset(p, 0x5a, SIZE / 2);
    return p;
}

static volatile int turn, of_thread;

static void *run(void *arg)
{
    MUST(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &node0, 64UL) == 0);
    for (;;) {
        of_thread = policy_of(NULL);
        turn = 0;
        while (!turn)
            victim_sleep_ms(1);
    }
    return arg;
}

static void check_memory(const char *p)
{
    for (unsigned long i = 0; i < SIZE; i++)
        if (p[i] != (i < SIZE / 2 ? 0x5a : 0)) {
            victim_fail("byte %lu is %d", i, p[i]);
            return;
        }
}

int main(int argc, char **argv)
{
    pthread_t thread;

    victim_init(argc, argv);
    if (policy_of(NULL) < 0) {
        fprintf(stderr, "a kernel without NUMA\n");
        return 77;
    }
    char *bound = map(MAP_PRIVATE, MPOL_BIND | MPOL_F_STATIC_NODES);
    char *preferred = map(MAP_PRIVATE, MPOL_PREFERRED);
    char *shared = map(MAP_SHARED, MPOL_INTERLEAVE);
    char *plain = map(MAP_PRIVATE, -1);
    turn = 1;
    MUST(pthread_create(&thread, NULL, run, NULL) == 0);
    while (turn)
        victim_sleep_ms(1);
    MUST(of_thread == (MPOL_INTERLEAVE | 1 << 20));
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(policy_of(NULL), MPOL_DEFAULT);
        CHECK_EQ(policy_of(bound), MPOL_BIND | MPOL_F_STATIC_NODES | 1 << 20);
        CHECK_EQ(policy_of(preferred), MPOL_PREFERRED | 1 << 20);
        CHECK_EQ(policy_of(shared), MPOL_INTERLEAVE | 1 << 20);
        CHECK_EQ(policy_of(plain), MPOL_DEFAULT);
        check_memory(bound);
        check_memory(preferred);
        check_memory(shared);
        turn = 1;
        for (int ms = 0; turn && ms < 15000; ms++)
            victim_sleep_ms(1);
        CHECK_EQ(of_thread, MPOL_INTERLEAVE | 1 << 20);
    }
    return 0;
}
