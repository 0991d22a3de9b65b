/*
 * rseq.c - restartable sequences: the registration, and a thread that is nearly always in one
 * link: -pthread
 */
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include "victim.h"

#if defined(__x86_64__) && __has_include(<sys/rseq.h>)
#include <sys/rseq.h>

static struct rseq *area(void)
{
    return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static volatile uint64_t aborted, committed, violated;

/*
 * A long sequence: it counts to `n`, and stores whether the kernel still knows of it. Whenever the
 * thread has not run for a moment (a checkpoint, any preemption), the kernel either aborts the
 * sequence that it finds the thread in, or forgets the one that it finds it out of: a sequence that
 * was interrupted and goes on all the same is known by that. Returns whether it was committed.
 */
static bool run_sequence(uint64_t n, uint64_t *known)
{
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
                          "movq %[sequence], %%rax\n"
                          "movq %%rax, %[known]\n"
                          "2:\n"
                          "jmp %l[commit]\n"
                          ".pushsection __rseq_failure, \"ax\"\n"
                          ".byte 0x0f, 0xb9, 0x3d\n"
                          ".long 0x53053053\n"
                          "4: jmp %l[abort]\n"
                          ".popsection\n"
                          : /* no outputs in asm goto */
                          : [sequence] "m"(area()->rseq_cs), [turns] "r"(n), [known] "m"(*known)
                          : "rax", "rcx", "memory", "cc"
                          : commit, abort);
commit:
    return true;
abort:
    return false;
}

static uint64_t turns;

/* So many that a sequence takes about a millisecond: less than a time slice, on slow processors
 * (an emulated one) too. */
static uint64_t turns_in_ms(void)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < 10; i++) {
        struct timespec begin, end;
        uint64_t n = 1000000;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        __asm__ volatile("1: decq %0\n jnz 1b" : "+r"(n) : : "cc");
        clock_gettime(CLOCK_MONOTONIC, &end);
        uint64_t ns = (end.tv_sec - begin.tv_sec) * 1000000000LL + end.tv_nsec - begin.tv_nsec;
        if (ns < best)
            best = ns;
    }
    return 1000000 * 1000000ULL / (best + 1) + 1;
}

/* Nearly all of this thread's time is spent in sequences, so that most checkpoints hit one. */
static void *work(void *arg)
{
    uint64_t known = 0;

    for (;;) {
        if (!run_sequence(turns, &known)) {
            aborted++;
            continue;
        }
        committed++;
        if (!known)
            violated++;
    }
    return arg;
}

static void *idle(void *arg)
{
    for (;;)
        pause();
    return arg;
}

/* Does the area follow where the kernel puts us? */
static void check_cpu(void)
{
    unsigned real;

    for (int i = 0; i < 50; i++) {
        unsigned cpu = area()->cpu_id;
        CHECK(syscall(SYS_getcpu, &real, NULL, NULL) == 0);
        if (cpu == real && real == area()->cpu_id)
            return;
    }
    victim_fail("rseq says CPU %u, getcpu %u", area()->cpu_id, real);
}

int main(int argc, char **argv)
{
    pthread_t thread;

    victim_init(argc, argv);
    bool registered = __rseq_size > 0 && (int)area()->cpu_id >= 0;
    turns = turns_in_ms();
    MUST(pthread_create(&thread, NULL, registered ? work : idle, NULL) == 0);
    victim_ready();
    while (victim_wait()) {
        if (!registered)
            continue;
        uint64_t before = committed;
        for (int i = 0; i < 1000 && committed < before + 3; i++)
            victim_sleep_ms(5);
        CHECK(committed >= before + 3);
        CHECK_EQ(violated, 0);
        violated = 0;
        check_cpu();
        /* The kernel knows the area: the same again is EBUSY. */
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
