/*
 * aio_busy.c - requests of asynchronous I/O in flight at almost every moment
 */
#define _GNU_SOURCE
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include "victim.h"

#define DEPTH 4
#define BLOCK 4096

static aio_context_t context;
static int file;
static char blocks[DEPTH][BLOCK] __attribute__((aligned(BLOCK)));
static char back[BLOCK] __attribute__((aligned(BLOCK)));
static atomic_int n_done, n_failed, stop;

static void submit(int n)
{
    struct iocb iocbs[DEPTH], *pointers[DEPTH];

    for (int i = 0; i < DEPTH; i++) {
        memset(blocks[i], n + i, BLOCK);
        iocbs[i] = (struct iocb){.aio_lio_opcode = IOCB_CMD_PWRITE,
                                 .aio_fildes = file,
                                 .aio_buf = (uintptr_t)blocks[i],
                                 .aio_nbytes = BLOCK,
                                 .aio_offset = (long long)i * BLOCK,
                                 .aio_data = i};
        pointers[i] = &iocbs[i];
    }
    n_failed += syscall(SYS_io_submit, context, DEPTH, pointers) != DEPTH;
}

static void *write_all_the_time(void *arg)
{
    struct io_event events[DEPTH];

    for (int n = 0; !stop; n++, n_done++) {
        submit(n);
        n_failed += syscall(SYS_io_getevents, context, DEPTH, DEPTH, events, NULL) != DEPTH;
        for (int i = 0; i < DEPTH; i++)
            n_failed += events[i].res != BLOCK;
        n_failed += pread(file, back, BLOCK, BLOCK) != BLOCK || memcmp(back, blocks[1], BLOCK) != 0;
    }
    return arg;
}

int main(int argc, char **argv)
{
    char path[4200];
    pthread_t thread;

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "data");
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_DIRECT, 0600);
    if (file < 0) /* not everywhere can files be read and written around the cache */
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    MUST(file >= 0);
    MUST(syscall(SYS_io_setup, 2 * DEPTH, &context) == 0);
    MUST(pthread_create(&thread, NULL, write_all_the_time, NULL) == 0);
    victim_ready();
    while (victim_wait()) {
        int before = n_done;
        for (int i = 0; n_done < before + 5 && i < 10000; i++)
            victim_sleep_ms(2);
        CHECK(n_done >= before + 5);
        CHECK_EQ(n_failed, 0);
    }
    stop = 1;
    pthread_join(thread, NULL);
    return 0;
}
