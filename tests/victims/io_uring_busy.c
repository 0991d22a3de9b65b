/*
 * io_uring_busy.c - requests in flight at almost every moment, which end by themselves
 */
#include <pthread.h>
#include <sys/stat.h>
#include "victim_uring.h"

#define DEPTH 8

static struct ring r;
static int file;
static uint64_t numbers[DEPTH];
static _Atomic uint64_t n_done;
static atomic_int n_failed, stop;

static char path[4200];

/* One request, by a thread of the kernel; its answer. */
static int ask(uint8_t opcode, int fd, const void *address, uint32_t flags)
{
    struct io_uring_sqe *sqe = ring_next(&r, opcode, 4711);

    sqe->flags = IOSQE_ASYNC;
    sqe->fd = fd;
    sqe->addr = (uintptr_t)address;
    sqe->open_flags = flags;
    ring_publish(&r);
    n_failed += ring_enter(&r, 1, 0, 0) != 1;
    while (ring_waiting(&r) == 0)
        n_failed += ring_enter(&r, 0, 1, 0) != 0;
    int result = ring_answer(&r, 0)->res;
    ring_take(&r, 1);
    return result;
}

/* Descriptors come and go meanwhile. */
static void open_and_close(void)
{
    struct stat st, same;
    int fd = ask(IORING_OP_OPENAT, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);

    n_failed += fstat(fd, &st) < 0 || fstat(file, &same) < 0 || st.st_ino != same.st_ino;
    n_failed += ask(IORING_OP_CLOSE, fd, NULL, 0) != 0;
}

static void *write_all_the_time(void *arg)
{
    for (uint64_t next = 1; !stop; next++) {
        for (uint64_t i = 0; i < DEPTH; i++) {
            struct io_uring_sqe *sqe = ring_next(&r, IORING_OP_WRITE, i);
            numbers[i] = next * DEPTH + i;
            sqe->flags = i % 2 ? IOSQE_ASYNC : 0; /* by threads of the kernel */
            sqe->fd = file;
            sqe->addr = (uintptr_t)&numbers[i];
            sqe->len = sizeof(numbers[i]);
            sqe->off = i * sizeof(numbers[i]);
        }
        ring_publish(&r);
        n_failed += ring_enter(&r, DEPTH, 0, 0) != DEPTH;
        for (uint64_t n = 0; n < DEPTH;) {
            if (ring_waiting(&r) == 0 && ring_enter(&r, 0, 1, 0) != 0)
                n_failed++;
            for (; ring_waiting(&r) > 0; ring_take(&r, 1), n++)
                n_failed += ring_answer(&r, 0)->res != sizeof(numbers[0]);
        }
        for (uint64_t i = 0, found; i < DEPTH; i++)
            n_failed += pread(file, &found, sizeof(found), i * sizeof(found)) != sizeof(found) ||
                        found != next * DEPTH + i;
        open_and_close();
        n_done++;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "data");
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    MUST(file >= 0);
    ring_make(&r, DEPTH, 0);
    MUST(pthread_create(&thread, NULL, write_all_the_time, NULL) == 0);
    victim_ready();
    while (victim_wait()) {
        uint64_t before = n_done;
        for (int i = 0; n_done < before + 5 && i < 10000; i++)
            victim_sleep_ms(2);
        CHECK(n_done >= before + 5);
        CHECK_EQ(n_failed, 0);
    }
    stop = 1;
    pthread_join(thread, NULL);
    return 0;
}
