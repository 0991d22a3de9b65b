/*
 * processes.c - a tree of 1000 processes with ten threads each, in three generations
 *
 * All threads wait for the next generation of a word in shared memory; each then notes in a place
 * of its own what it still knows, and the first process compares.
 * link: -pthread
 */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "victim.h"

#define N_MIDDLE    27
#define N_LEAVES    36 /* of each of those */
#define N_PROCESSES (1 + N_MIDDLE * (1 + N_LEAVES))
#define N_THREADS   10
#define STACK_SIZE  65536
#define END         UINT_MAX

struct note {
    pid_t pid, parent;
    unsigned generation;
    uint64_t known; /* what only its own stack holds */
};

static struct shared {
    unsigned generation, answered, unable;
    struct note notes[N_PROCESSES * N_THREADS];
} * shared;

static uint64_t secret(unsigned place)
{
    return (place + 1) * 0x9e3779b97f4a7c15u;
}

static void wait_while(unsigned generation)
{
    while (__atomic_load_n(&shared->generation, __ATOMIC_SEQ_CST) == generation)
        syscall(SYS_futex, &shared->generation, FUTEX_WAIT, generation, NULL, NULL, 0);
}

static void begin_generation(unsigned generation)
{
    __atomic_store_n(&shared->generation, generation, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &shared->generation, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void *answer(void *arg)
{
    const unsigned place = (uintptr_t)arg;
    volatile uint64_t known = secret(place);
    unsigned generation = 0;

    for (;;) {
        shared->notes[place] = (struct note){getpid(), getppid(), generation, known};
        __atomic_fetch_add(&shared->answered, 1, __ATOMIC_SEQ_CST);
        wait_while(generation);
        generation = __atomic_load_n(&shared->generation, __ATOMIC_SEQ_CST);
        if (generation == END)
            return NULL;
        victim_allow_tracer();
    }
}

static void give_up(void)
{
    __atomic_store_n(&shared->unable, 1, __ATOMIC_SEQ_CST);
    begin_generation(END);
}

/* All threads but the first, which does what its process is for. */
static void start_threads(unsigned process, pthread_t *threads)
{
    pthread_attr_t attr;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    for (unsigned i = 1; i < N_THREADS; i++)
        if (pthread_create(&threads[i], &attr, answer,
                           (void *)(uintptr_t)(process * N_THREADS + i)))
            return give_up();
}

static int wait_for_children(void)
{
    int status, result = 0;

    for (;;) {
        pid_t pid = wait(&status);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0)
            return result;
        if (status != 0)
            result = 1;
    }
}

static _Noreturn void live(unsigned process, unsigned n_children)
{
    pthread_t threads[N_THREADS];
    unsigned started = 0;

    victim_allow_tracer();
    for (; started < n_children; started++) {
        pid_t pid = fork();
        if (pid == 0)
            live(process + 1 + started, 0);
        if (pid < 0) {
            give_up();
            break;
        }
    }
    start_threads(process, threads);
    answer((void *)(uintptr_t)(process * N_THREADS));
    _exit(wait_for_children());
}

static unsigned parent_of(unsigned process)
{
    return (process - 1) % (N_LEAVES + 1) == 0 ? 0 : process - 1 - (process - 2) % (N_LEAVES + 1);
}

static bool all_answered(unsigned expected)
{
    /* Whoever is slow, the test's own patience ends first. */
    while (__atomic_load_n(&shared->answered, __ATOMIC_SEQ_CST) < expected) {
        if (__atomic_load_n(&shared->unable, __ATOMIC_SEQ_CST))
            return false;
        victim_sleep_ms(5);
    }
    return true;
}

static void check(unsigned generation, unsigned n_own)
{
    for (unsigned process = 0; process < N_PROCESSES; process++)
        for (unsigned i = process == 0 ? n_own : 0; i < N_THREADS; i++) {
            const struct note *note = &shared->notes[process * N_THREADS + i];
            pid_t pid = shared->notes[process * N_THREADS + 1].pid;
            pid_t parent =
                process ? shared->notes[parent_of(process) * N_THREADS + 1].pid : getppid();
            if (note->generation != generation || note->pid != pid || note->parent != parent ||
                note->known != secret(process * N_THREADS + i))
                victim_fail("thread %u of process %u: generation %u, PID %d of %d, parent %d of "
                            "%d, %#llx",
                            i, process, note->generation, note->pid, pid, note->parent, parent,
                            (unsigned long long)note->known);
        }
}

int main(int argc, char **argv)
{
    const unsigned n_answers = N_PROCESSES * N_THREADS - 1; /* the first thread of all asks */
    pthread_t threads[N_THREADS];

    victim_init(argc, argv);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(shared != MAP_FAILED);
    for (unsigned i = 0; i < N_MIDDLE; i++) {
        pid_t pid = fork();
        if (pid == 0)
            live(1 + i * (N_LEAVES + 1), N_LEAVES);
        if (pid < 0)
            give_up();
    }
    start_threads(0, threads);
    if (!all_answered(n_answers)) {
        wait_for_children();
        fprintf(stderr, "not so many processes and threads can be started here\n");
        return 77;
    }
    victim_ready();
    for (unsigned generation = 1; victim_wait(); generation++) {
        __atomic_store_n(&shared->answered, 0, __ATOMIC_SEQ_CST);
        begin_generation(generation);
        if (all_answered(n_answers))
            check(generation, 1);
    }
    begin_generation(END);
    for (unsigned i = 1; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    return wait_for_children();
}
