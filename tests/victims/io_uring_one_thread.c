/*
 * io_uring_one_thread.c - a ring that only one thread may use, and whose answers come when it
 * enters the kernel; with registered buffers, and registered with that thread
 */
#include <pthread.h>
#include <sys/uio.h>
#include "victim_uring.h"

#define REGISTERED (1u << 4) /* IORING_ENTER_REGISTERED_RING */

static char buffers[2][8192] __attribute__((aligned(4096)));
static struct ring r;
static int file, place = -1;
static atomic_int asked, answered;

static void make(void)
{
    struct iovec iov[3] = {{buffers[0], sizeof(buffers[0])}, {NULL, 0}, {buffers[1] + 4, 4000}};
    struct io_uring_rsrc_update update = {.offset = -1U};

    ring_make(&r, 8, RING_SINGLE_ISSUER | RING_DEFER_TASKRUN);
    MUST(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_BUFFERS, iov, 3) == 0);
    update.data = r.fd;
    MUST(syscall(SYS_io_uring_register, r.fd, 20 /* IORING_REGISTER_RING_FDS */, &update, 1) == 1);
    place = update.offset;
}

static void read_fixed(int buffer, void *to, uint32_t size, uint64_t user_data)
{
    struct io_uring_sqe *sqe = ring_next(&r, IORING_OP_READ_FIXED, user_data);

    sqe->fd = file;
    sqe->addr = (uintptr_t)to;
    sqe->len = size;
    sqe->buf_index = buffer;
}

static void use(void)
{
    memset(buffers, 0, sizeof(buffers));
    read_fixed(0, buffers[0] + 5, 3, 1);
    ring_submit(&r, 1);
    ring_expect(&r, 1, 3);
    CHECK(memcmp(buffers[0] + 5, "abc", 3) == 0);
    read_fixed(2, buffers[1] + 4, 3, 2);
    ring_submit(&r, 1);
    ring_expect(&r, 2, 3);
    CHECK(memcmp(buffers[1] + 4, "abc", 3) == 0);
    read_fixed(2, buffers[1], 3, 3); /* outside of it */
    ring_submit(&r, 1);
    ring_expect(&r, 3, -EFAULT);
    ring_next(&r, IORING_OP_NOP, 4);
    ring_publish(&r);
    CHECK_EQ(syscall(SYS_io_uring_enter, place, 1, 1, REGISTERED | IORING_ENTER_GETEVENTS, NULL, 0),
             1);
    ring_expect(&r, 4, 0);
}

static void *run(void *arg)
{
    make();
    use();
    for (answered = 1;; answered++) {
        while (asked < answered)
            victim_sleep_ms(2);
        use();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    char path[4200];
    pthread_t thread;

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "data");
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    MUST(file >= 0 && pwrite(file, "abcdef", 6, 0) == 6);
    MUST(pthread_create(&thread, NULL, run, NULL) == 0);
    while (answered < 1)
        victim_sleep_ms(2);
    victim_ready();
    while (victim_wait()) {
        asked++;
        while (answered <= asked)
            victim_sleep_ms(2);
        CHECK_EQ(syscall(SYS_io_uring_register, r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0), -1);
        CHECK_EQ(errno, EEXIST); /* not ours */
    }
    return 0;
}
