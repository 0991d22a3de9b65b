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

static volatile uint64_t aborted, committed, longest;

static uint64_t ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/*
 * A long sequence: it reads the time stamp counter, counts to `n`, and stores the time that
 * this took. A checkpoint that falls into it must abort it, as any preemption does: a time with a
 * checkpoint in it is never stored. Returns whether it was committed.
 */
static bool run_sequence(uint64_t n, uint64_t *time)
{
    __asm__ goto volatile(".pushsection __rseq_cs, \"aw\"\n"
                          ".balign 32\n"
                          "3: .long 0, 0\n"
                          ".quad 1f, 2f - 1f, 4f\n"
                          ".popsection\n"
                          "leaq 3b(%%rip), %%rax\n"
                          "movq %%rax, %[sequence]\n"
                          "1:\n"
                          "rdtsc\n"
                          "shlq $32, %%rdx\n"
                          "orq %%rdx, %%rax\n"
                          "movq %%rax, %%rsi\n"
                          "movq %[turns], %%rcx\n"
                          "5: decq %%rcx\n"
                          "jnz 5b\n"
                          "rdtsc\n"
                          "shlq $32, %%rdx\n"
                          "orq %%rdx, %%rax\n"
                          "subq %%rsi, %%rax\n"
                          "movq %%rax, %[time]\n"
                          "2:\n"
                          "jmp %l[commit]\n"
                          ".pushsection __rseq_failure, \"ax\"\n"
                          ".byte 0x0f, 0xb9, 0x3d\n"
                          ".long 0x53053053\n"
                          "4: jmp %l[abort]\n"
                          ".popsection\n"
                          : /* no outputs in asm goto */
                          : [sequence] "m"(area()->rseq_cs), [turns] "r"(n), [time] "m"(*time)
                          : "rax", "rcx", "rdx", "rsi", "memory", "cc"
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
    uint64_t time = 0;

    for (;;) {
        if (!run_sequence(turns, &time)) {
            aborted++;
            continue;
        }
        committed++;
        if (time > longest)
            longest = time;
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

static uint64_t ticks_in_ms(void)
{
    uint64_t before = ticks();

    victim_sleep_ms(100);
    return (ticks() - before) / 100;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    victim_init(argc, argv);
    bool registered = __rseq_size > 0 && (int)area()->cpu_id >= 0;
    uint64_t ms = ticks_in_ms();
    turns = turns_in_ms();
    MUST(pthread_create(&thread, NULL, registered ? work : idle, NULL) == 0);
    victim_sleep_ms(20);
    longest = 0;
    victim_ready();
    while (victim_wait()) {
        if (!registered)
            continue;
        uint64_t before = committed;
        for (int i = 0; i < 1000 && committed < before + 3; i++)
            victim_sleep_ms(5);
        CHECK(committed >= before + 3);
        /* A virtual machine may be halted without its kernel's knowing, but not for long. */
        if (longest > 50 * ms)
            victim_fail("a sequence of %llu ms was not aborted",
                        (unsigned long long)(longest / ms));
        longest = 0;
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
