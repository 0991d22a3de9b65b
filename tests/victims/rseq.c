/* rseq.c - restartable sequences: the registration, and a sequence that is interrupted all the time
 */
#include <sched.h>
#include <sys/syscall.h>
#include "victim.h"

#if defined(__x86_64__) && __has_include(<sys/rseq.h>)
#include <sys/rseq.h>

static struct rseq *area(void)
{
    return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static uint64_t aborted, committed;

/*
 * A long sequence: it counts to `turns` and then stores 1. A checkpoint that falls into it must
 * abort it, as any preemption does. Returns whether it was committed.
 */
static bool run_sequence(uint64_t turns, uint64_t *done)
{
    uint64_t count;

    *done = 0;
    __asm__ goto volatile(".pushsection __rseq_cs, \"aw\"\n"
                          ".balign 32\n"
                          "3: .long 0, 0\n"
                          ".quad 1f, 2f - 1f, 4f\n"
                          ".popsection\n"
                          "leaq 3b(%%rip), %%rax\n"
                          "movq %%rax, %[sequence]\n"
                          "1:\n"
                          "movq %[turns], %%rcx\n"
                          "5: decq %%rcx\n"
                          "jnz 5b\n"
                          "movq $1, %[done]\n"
                          "2:\n"
                          "jmp %l[commit]\n"
                          ".pushsection __rseq_failure, \"ax\"\n"
                          ".byte 0x0f, 0xb9, 0x3d\n"
                          ".long 0x53053053\n"
                          "4: jmp %l[abort]\n"
                          ".popsection\n"
                          : /* no outputs in asm goto */
                          : [sequence] "m"(area()->rseq_cs), [turns] "r"(turns), [done] "m"(*done)
                          : "rax", "rcx", "memory", "cc"
                          : commit, abort);
commit:
    count = *done;
    return count == 1;
abort:
    aborted++;
    return false;
}

/* Does sched_getcpu(), which reads the area, follow where the kernel puts us? */
static void check_cpu(void)
{
    for (int i = 0; i < 20; i++) {
        unsigned cpu = area()->cpu_id, real;
        CHECK(syscall(SYS_getcpu, &real, NULL, NULL) == 0);
        if (cpu == real && real == area()->cpu_id)
            return;
    }
    victim_fail("rseq says CPU %u", area()->cpu_id);
}

static bool wait_and_work(uint64_t *done)
{
    char path[5000];

    /* victim_wait() sleeps; this works through it instead: most checkpoints fall into a sequence.
     */
    for (;;) {
        for (int i = 0; i < 5; i++)
            if (run_sequence(4000000, done))
                committed++;
        victim_path(path, sizeof(path), "check.%d", victim_round ? victim_round + 1 : 1);
        if (access(path, F_OK) == 0)
            return victim_wait();
        victim_path(path, sizeof(path), "stop");
        if (access(path, F_OK) == 0)
            return false;
    }
}

int main(int argc, char **argv)
{
    uint64_t done = 0;

    victim_init(argc, argv);
    bool registered = __rseq_size > 0 && (int)area()->cpu_id >= 0;
    if (!registered) {
        victim_ready();
        while (victim_wait())
            ;
        return 0;
    }
    victim_ready();
    while (wait_and_work(&done)) {
        uint64_t before = committed;
        check_cpu();
        for (int i = 0; i < 1000 && committed == before; i++)
            committed += run_sequence(1000, &done);
        CHECK(committed > before);
        /* The kernel knows the area: it refuses another, and the same again is EBUSY. */
        CHECK(syscall(SYS_rseq, area(), 32, 0, 0x53053053) < 0 && errno == EBUSY);
    }
    return 0;
}
#else
int main(int argc, char **argv)
{
    victim_init(argc, argv);
    victim_ready();
    while (victim_wait())
        ;
    return 0;
}
#endif
