/*
 * vector_registers.c - a thread with values in all of its vector registers, which it never saves
 */
#include <immintrin.h>
#include <pthread.h>
#include "victim.h"

static uint8_t pattern[32][64] __attribute__((aligned(64)));
static uint8_t found[32][64] __attribute__((aligned(64)));
static volatile int go, done;

/* The registers are loaded, the thread spins until `go`, the registers are stored. */
#define HOLD(load, store, pre, n)                                                                  \
    static void hold_##pre(void)                                                                   \
    {                                                                                              \
        __asm__ volatile(".irp i, " n "\n" load " \\i*64(%0), %%" #pre "\\i\n.endr\n"              \
                         "1: pause\n cmpl $0, %2\n je 1b\n"                                        \
                         ".irp i, " n "\n" store " %%" #pre "\\i, \\i*64(%1)\n.endr\n"             \
                         :                                                                         \
                         : "r"(pattern), "r"(found), "m"(go)                                       \
                         : "memory", CLOBBERED);                                                   \
    }
#define LOW  "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
#define HIGH ",16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
#define CLOBBERED                                                                                  \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

HOLD("movdqu", "movdqu", xmm, LOW)
HOLD("vmovdqu", "vmovdqu", ymm, LOW)
#pragma GCC push_options
#pragma GCC target("avx512f")
#undef CLOBBERED
#define CLOBBERED "zmm0", "zmm15", "zmm16", "zmm31"
HOLD("vmovdqu64", "vmovdqu64", zmm, LOW HIGH)
#pragma GCC pop_options

static int width, n_registers;

static void *thread(void *unused)
{
    (void)unused;
    if (width == 64)
        hold_zmm();
    else if (width == 32)
        hold_ymm();
    else
        hold_xmm();
    done = 1;
    return NULL;
}

static pthread_t start(int round)
{
    pthread_t id;

    for (size_t i = 0; i < sizeof(pattern); i++)
        ((uint8_t *)pattern)[i] = i * 7 + i / 64 + round;
    memset(found, 0, sizeof(found));
    go = done = 0;
    MUST(pthread_create(&id, NULL, thread, NULL) == 0);
    return id;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    width = __builtin_cpu_supports("avx512f") ? 64 : __builtin_cpu_supports("avx") ? 32 : 16;
    n_registers = width == 64 ? 32 : 16;
    pthread_t id = start(0);
    usleep(20000);
    victim_ready();
    for (int round = 1; victim_wait(); round++) {
        CHECK(!done);
        go = 1;
        pthread_join(id, NULL);
        for (int i = 0; i < n_registers; i++)
            CHECK(memcmp(found[i], pattern[i], width) == 0);
        id = start(round);
        usleep(20000);
    }
    go = 1;
    pthread_join(id, NULL);
    return 0;
}
