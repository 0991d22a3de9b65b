/*
 * io_uring.c - a ring with answers that wait to be taken, and requests that wait to be submitted
 */
#include <sys/wait.h>
#include "victim_uring.h"

#define N_WAITING 3

static int file;
static uint64_t round_number;

static void read_number(struct ring *r, uint64_t *place)
{
    struct io_uring_sqe *sqe = ring_next(r, IORING_OP_READ, 700 + round_number);

    sqe->fd = file;
    sqe->addr = (uintptr_t)place;
    sqe->len = sizeof(*place);
}

/* Some answered, one more written into the ring but not submitted. */
static void put(struct ring *r)
{
    for (int i = 0; i < N_WAITING; i++)
        ring_next(r, IORING_OP_NOP, 1000 * round_number + i);
    ring_submit(r, N_WAITING);
    MUST(pwrite(file, &round_number, sizeof(round_number), 0) == sizeof(round_number));
}

static bool is_inherited(const uint8_t *mapping)
{
    int status;
    pid_t pid = fork();

    MUST(pid >= 0);
    if (pid == 0)
        _exit(msync((void *)mapping, 1, MS_ASYNC) == 0);
    MUST(waitpid(pid, &status, 0) == pid);
    return status != 0;
}

int main(int argc, char **argv)
{
    uint64_t number;
    struct ring r;

    victim_init(argc, argv);
    ring_make(&r, 8, 0);
    char path[4200];
    victim_path(path, sizeof(path), "data");
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    MUST(file >= 0);
    /* As old programs map the answers: by themselves. */
    uint8_t *answers = mmap(NULL, r.rings_size, PROT_READ, MAP_SHARED, r.fd, IORING_OFF_CQ_RING);
    MUST(answers != MAP_FAILED && madvise(answers, r.rings_size, MADV_DONTFORK) == 0);
    ring_spin(&r, 1000); /* round and round */
    put(&r);
    read_number(&r, &number);
    ring_publish(&r);
    int flags = fcntl(r.fd, F_GETFD);
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(fcntl(r.fd, F_GETFD), flags);
        CHECK_EQ(ring_waiting(&r), N_WAITING);
        CHECK(memcmp(answers, r.rings, r.rings_size) == 0);
        CHECK(!is_inherited(answers));
        for (int i = 0; i < N_WAITING; i++)
            ring_expect(&r, 1000 * round_number + i, 0);
        number = 0;
        CHECK_EQ(ring_enter(&r, 1, 1, 0), 1);
        ring_expect(&r, 700 + round_number, sizeof(number));
        CHECK_EQ(number, round_number);
        CHECK_EQ(*ring_word(&r, r.p.sq_off.head), r.sq_tail);
        CHECK_EQ(ring_waiting(&r), 0);
        ring_spin(&r, 100);
        round_number++;
        put(&r);
        read_number(&r, &number);
        ring_publish(&r);
    }
    return 0;
}
