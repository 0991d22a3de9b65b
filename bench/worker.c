/*
 * worker.c - a program that works, and writes down how much it got done
 *
 *     worker DIR cpu|memory [MIB]
 *
 * cpu: it computes, in registers. memory: it reads and writes words of its memory, anywhere. For
 * each slot of 10 ms it notes, in memory of its own, CLOCK_MONOTONIC at its end (ns), the pieces of
 * work that it did in it, how much of the processor's time it took (ns), its longest gap (ns), how
 * much of that time was the kernel's (ns, as it samples that), and the page faults.
 * Files of DIR:
 *     ready    its PID
 *     order    read at a SIGUSR1: `slots`: write them all to DIR/slots, a line each, and forget
 * them answer   how many lines
 */
#include "dialogue.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define SLOT_NS 10000000
#define N_SLOTS 60000u /* ten minutes */
#define N_STEPS 1000u  /* of a piece of work */
#define LIFE_S  (30 * 60)

struct slot {
    int64_t end_ns, cpu_ns, gap_ns, kernel_ns, n_faults;
    uint64_t n_pieces;
};

static struct slot *slots;
static size_t n_slots;
static uint64_t *memory;
static size_t n_words;
static volatile sig_atomic_t ordered;

static void on_order(int sig)
{
    ordered = 1;
}

static void *map(size_t size)
{
    void *area =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (area == MAP_FAILED)
        die("no memory");
    return area;
}

static uint64_t piece(uint64_t x)
{
    for (unsigned i = 0; i < N_STEPS; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        if (memory)
            memory[x % n_words] += x;
    }
    return x;
}

static void write_slots(void)
{
    char path[PATH_MAX], text[32];

    path_of(path, "slots");
    FILE *file = fopen(path, "we");
    if (!file)
        die("can't write %s", path);
    for (size_t i = 0; i < n_slots; i++)
        fprintf(file, "%lld %llu %lld %lld %lld %lld\n", (long long)slots[i].end_ns,
                (unsigned long long)slots[i].n_pieces, (long long)slots[i].cpu_ns,
                (long long)slots[i].gap_ns, (long long)slots[i].kernel_ns,
                (long long)slots[i].n_faults);
    if (fclose(file) != 0)
        die("can't write %s", path);
    snprintf(text, sizeof(text), "%zu\n", n_slots);
    n_slots = 0;
    put("answer", text);
}

static void obey(void)
{
    char order[64];

    ordered = 0;
    if (take("order", order, sizeof(order)))
        write_slots();
}

static void count_kernel(struct slot *slot, int sign)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    slot->kernel_ns +=
        sign * (usage.ru_stime.tv_sec * 1000000000LL + usage.ru_stime.tv_usec * 1000);
    slot->n_faults += sign * (usage.ru_minflt + usage.ru_majflt);
}

/* Work until it is over. */
static uint64_t fill(struct slot *slot, uint64_t x)
{
    int64_t begin = clock_ns(CLOCK_MONOTONIC), last = begin;
    int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);

    *slot = (struct slot){0};
    count_kernel(slot, -1);
    while (last - begin < SLOT_NS && !ordered) {
        x = piece(x);
        slot->n_pieces++;
        int64_t now = clock_ns(CLOCK_MONOTONIC);
        slot->gap_ns = now - last > slot->gap_ns ? now - last : slot->gap_ns;
        last = now;
    }
    slot->end_ns = last;
    slot->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    count_kernel(slot, 1);
    return x;
}

static int run(void)
{
    uint64_t x = 0x9e3779b97f4a7c15u;

    for (;;) {
        x = fill(&slots[n_slots], x);
        if (ordered)
            obey();
        else if (n_slots + 1 < N_SLOTS)
            n_slots++;
    }
    return x == 0;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_order, .sa_flags = SA_RESTART};
    char text[32];

    if (argc < 3) {
        fprintf(stderr, "usage: worker DIR cpu|memory [MIB]\n");
        return 2;
    }
    dialogue_dir = argv[1];
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* where Yama lets only ancestors trace */
    alarm(LIFE_S);                                      /* should nobody be left to end it */
    sigaction(SIGUSR1, &action, NULL);
    slots = map(N_SLOTS * sizeof(*slots));
    if (argc > 3) {
        size_t size = number_of(argv[3]) << 20;
        void *area = map(size);
        if (strcmp(argv[2], "memory") == 0) {
            memory = area;
            n_words = size / sizeof(*memory);
        }
    }
    snprintf(text, sizeof(text), "%d\n", (int)getpid());
    put("ready", text);
    return run();
}
