/*
 * memory_keys.c - memory protection keys: taken ones, those of mappings, each thread's rights, and
 * the kernel's own for memory that may only be executed
 *
 * link: -pthread
 */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include "victim_smaps.h"

static sigjmp_buf back;
static volatile int fault_key;
static uint8_t *guarded;
static int keys[5];
static sem_t asked, answered;
static volatile int seen_by_other;

static void on_fault(int number, siginfo_t *info, void *context)
{
    fault_key = info->si_code == SEGV_PKUERR ? (int)info->si_pkey : -2;
    siglongjmp(back, 1);
}

static unsigned get_rights(void)
{
    unsigned rights, zero;

    __asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(rights), "=d"(zero) : "c"(0)); /* rdpkru */
    return rights;
}

/* A signal handler runs with the rights of a new thread, and leaves them behind when it jumps. */
static void set_rights(unsigned rights)
{
    __asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(rights), "c"(0), "d"(0) : "memory");
}

/* The key that forbids it; 0: it is allowed. */
static int try_access(volatile uint8_t *at, bool write)
{
    volatile unsigned rights = get_rights();

    fault_key = 0;
    if (sigsetjmp(back, 1) == 0) {
        if (write)
            *at = *at + 1;
        else
            (void)*at;
    } else {
        set_rights(rights);
    }
    return fault_key;
}

static int try_write(volatile uint8_t *at)
{
    return try_access(at, true);
}

static int try_read(volatile uint8_t *at)
{
    return try_access(at, false);
}

/* Has rights of its own: it may write. */
static void *other_thread(void *arg)
{
    pkey_set(keys[2], 0);
    for (;;) {
        sem_post(&answered);
        sem_wait(&asked);
        seen_by_other = try_write(guarded);
    }
    return arg;
}

static int key_of(const void *address)
{
    unsigned long start, end;
    char line[1024];
    int key = -1;
    bool here = false;
    FILE *file = fopen("/proc/self/smaps", "re");

    MUST(file);
    while (key < 0 && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            here = (unsigned long)address >= start && (unsigned long)address < end;
        else if (here)
            sscanf(line, "ProtectionKey: %d", &key);
    }
    fclose(file);
    return key;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    pthread_t thread;

    victim_init(argc, argv);
    for (int i = 0; i < 5; i++)
        keys[i] = pkey_alloc(0, i == 4 ? PKEY_DISABLE_ACCESS : 0);
    if (keys[4] < 0) {
        fprintf(stderr, "this processor has no protection keys, or they are taken\n");
        return 77;
    }
    guarded = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(guarded != MAP_FAILED && shared != MAP_FAILED && sigaction(SIGSEGV, &action, NULL) == 0);
    MUST(sem_init(&asked, 0, 0) == 0 && sem_init(&answered, 0, 0) == 0);
    victim_fill(guarded, 4096, 1);
    victim_fill(shared, 4096, 2);
    MUST(pkey_mprotect(guarded, 4096, PROT_READ | PROT_WRITE, keys[2]) == 0);
    MUST(pkey_mprotect(shared, 4096, PROT_READ | PROT_WRITE, keys[3]) == 0);
    uint8_t *code = mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(code != MAP_FAILED);
    int kernels = key_of(code);
    MUST(pkey_free(keys[1]) == 0);
    MUST(pthread_create(&thread, NULL, other_thread, NULL) == 0);
    sem_wait(&answered);
    pkey_set(keys[2], PKEY_DISABLE_WRITE);
    pkey_set(keys[3], PKEY_DISABLE_ACCESS);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(try_write(guarded), keys[2]);
        CHECK_EQ(try_read(guarded), 0);
        CHECK_EQ(try_read(shared), keys[3]);
        sem_post(&asked);
        sem_wait(&answered);
        CHECK_EQ(seen_by_other, 0);
        pkey_set(keys[2], 0);
        guarded[0]--; /* what the other thread did */
        CHECK(victim_same(guarded, 4096, 1));
        pkey_set(keys[2], PKEY_DISABLE_WRITE);
        pkey_set(keys[3], 0);
        CHECK(victim_same(shared, 4096, 2));
        pkey_set(keys[3], PKEY_DISABLE_ACCESS);
        CHECK_EQ(try_read(guarded + 4096), 0);

        CHECK_EQ(key_of(guarded), keys[2]);
        CHECK_EQ(key_of(guarded + 4096), 0);
        CHECK_EQ(key_of(shared), keys[3]);
        CHECK_EQ(key_of(code), kernels);
        CHECK_EQ(try_read(code), kernels);
        CHECK_EQ(pkey_get(keys[4]), PKEY_DISABLE_ACCESS);
        /* The second one is free, the others are taken. */
        int free_key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
        CHECK_EQ(free_key, keys[1]);
        CHECK(pkey_free(free_key) == 0);
        CHECK(pkey_mprotect(guarded + 8192, 4096, PROT_READ, keys[4]) == 0);
        CHECK(pkey_mprotect(guarded + 8192, 4096, PROT_READ | PROT_WRITE, 0) == 0);
        int next = pkey_alloc(0, 0), after = pkey_alloc(0, 0);
        CHECK(next == keys[1] && after > (kernels > keys[4] ? kernels : keys[4]));
        CHECK(pkey_free(next) == 0 && pkey_free(after) == 0);
    }
    return 0;
}
