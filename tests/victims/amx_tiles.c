/*
 * amx_tiles.c - tile registers (AMX), which a program asks the kernel for before it uses them
 * kinds: vector_permission
 * link: -pthread -mamx-tile
 */
#include <immintrin.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>

#include "victim.h"

#define ARCH_GET_XCOMP_PERM 0x1022
#define ARCH_REQ_XCOMP_PERM 0x1023
#define TILE_DATA           18

static struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t columns[16];
    uint8_t rows[16];
} __attribute__((packed)) config = {.palette = 1, .columns = {64, 64}, .rows = {16, 16}};

static volatile int turn, held;

/* The tile lives in its register while the thread waits: no call of a library in between. */
static void *hold(void *arg)
{
    uint8_t in[1024] __attribute__((aligned(64))), out[1024] __attribute__((aligned(64)));

    for (int i = 0; i < 1024; i++)
        in[i] = i * 7 + 3;
    _tile_loadconfig(&config);
    _tile_loadd(1, in, 64);
    held = 1;
    for (;;) {
        while (!turn)
            syscall(SYS_poll, NULL, 0, 1);
        memset(out, 0, sizeof(out));
        _tile_stored(1, out, 64);
        held = memcmp(in, out, sizeof(in)) == 0 ? 2 : 3;
        turn = 0;
    }
    return arg;
}

int main(int argc, char **argv)
{
    unsigned long permitted = 0;
    pthread_t thread;

    victim_init(argc, argv);
    if (syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) != 0) {
        fprintf(stderr, "no tile registers here\n");
        return 77;
    }
    MUST(pthread_create(&thread, NULL, hold, NULL) == 0);
    while (!held)
        victim_sleep_ms(1);
    victim_ready();
    while (victim_wait()) {
        CHECK(syscall(SYS_arch_prctl, ARCH_GET_XCOMP_PERM, &permitted) == 0);
        CHECK(permitted >> TILE_DATA & 1);
        turn = 1;
        for (int ms = 0; turn && ms < 15000; ms++)
            victim_sleep_ms(1);
        CHECK_EQ(held, 2);
    }
    return 0;
}
