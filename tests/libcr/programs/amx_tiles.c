/*
 * amx_tiles.c - threads that compute with tile registers (AMX) are made to run callbacks, which use
 * the same registers
 *
 * languages: c
 */
#include <sys/syscall.h>

#include "proof.h"

#define ARCH_REQ_XCOMP_PERM 0x1023
#define TILE_DATA           18
#define N_REQUESTS          20
#define TILE_SIZE           1024

static struct {
    unsigned char palette, start_row, reserved[14];
    unsigned short columns[16];
    unsigned char rows[16];
} __attribute__((packed)) config = {.palette = 1, .columns = {64, 64}, .rows = {16, 16}};

static volatile int n_called, n_rounds, stop;

/* Bytes, since not every compiler knows the instructions: of (%rax), with a stride of %rbx. */
#define TILE_INSTRUCTION(bytes, at) __asm__ volatile(bytes : : "a"(at), "b"((long)64) : "memory")
#define LOAD_CONFIG(at)             TILE_INSTRUCTION(".byte 0xc4,0xe2,0x78,0x49,0x00", at) /* ldtilecfg */
#define LOAD_TILE(at)               TILE_INSTRUCTION(".byte 0xc4,0xe2,0x7b,0x4b,0x0c,0x18", at) /* to tmm1 */
#define STORE_TILE(at)              TILE_INSTRUCTION(".byte 0xc4,0xe2,0x7a,0x4b,0x0c,0x18", at)
#define RELEASE_TILES()             __asm__ volatile(".byte 0xc4,0xe2,0x78,0x49,0xc0")

static void fill_tile(unsigned char *tile, int seed)
{
    for (int i = 0; i < TILE_SIZE; i++)
        tile[i] = (unsigned char)(i * 7 + seed);
}

/* Another tile, in another configuration, or none: nothing of it may stay. */
static int use_tiles(void *arg)
{
    unsigned char tile[TILE_SIZE];

    fill_tile(tile, 99);
    LOAD_CONFIG(&config);
    LOAD_TILE(tile);
    CHECK(cr_checkpoint(CR_CHECKPOINT_READY) >= 0);
    RELEASE_TILES();
    n_called++;
    return 0;
}

/* The tile lives in its register all the time. */
static void *compute(void *arg)
{
    unsigned char in[TILE_SIZE], out[TILE_SIZE];

    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(use_tiles, NULL, CR_SIGNAL_CONTEXT) >= 0);
    fill_tile(in, 3);
    LOAD_CONFIG(&config);
    LOAD_TILE(in);
    while (!stop) {
        for (volatile int i = 0; i < 10000; i++)
            continue;
        STORE_TILE(out);
        for (int i = 0; i < TILE_SIZE; i++)
            CHECK(in[i] == out[i]);
        n_rounds++;
    }
    RELEASE_TILES();
    return NULL;
}

int main(void)
{
    pthread_t thread;

    if (syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) != 0) {
        puts("no tile registers (AMX) here");
        return 77;
    }
    CHECK(cr_init() >= 0);
    CHECK(pthread_create(&thread, NULL, compute, NULL) == 0);
    for (int i = 0; i < N_REQUESTS; i++) {
        int rounds = n_rounds;
        WAIT_UNTIL(n_rounds > rounds + 1);
        CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
        CHECK_IS(n_called, i + 1);
    }
    stop = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
