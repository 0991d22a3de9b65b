/*
 * aio.c - contexts of asynchronous I/O, one of them with events that wait to be taken
 */
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include "victim.h"

#define N_WAITING 5
#define N_PLACES  300

static aio_context_t plain, waiting;
static int file;

static long submit(aio_context_t context, struct iocb *iocb)
{
    return syscall(SYS_io_submit, context, 1, &iocb);
}

static long take(aio_context_t context, long n, struct io_event *events)
{
    return syscall(SYS_io_getevents, context, n, n, events, NULL);
}

/* A number written to the file. */
static void write_number(aio_context_t context, uint64_t data, const uint64_t *number)
{
    struct iocb iocb = {.aio_lio_opcode = IOCB_CMD_PWRITE,
                        .aio_fildes = file,
                        .aio_buf = (uintptr_t)number,
                        .aio_nbytes = sizeof(*number),
                        .aio_offset = (long long)data * 8,
                        .aio_data = data};

    CHECK_EQ(submit(context, &iocb), 1);
}

static void check_written(uint64_t data, uint64_t number)
{
    uint64_t found = 0;

    CHECK_EQ(pread(file, &found, sizeof(found), data * 8), sizeof(found));
    CHECK_EQ(found, number);
}

/* Round and round in its ring. */
static void use(aio_context_t context, int n)
{
    struct io_event event;

    for (uint64_t i = 0; i < (uint64_t)n; i++) {
        uint64_t number = i * i;
        write_number(context, i, &number);
        CHECK_EQ(take(context, 1, &event), 1);
        CHECK_EQ(event.data, i);
        CHECK_EQ(event.res, sizeof(number));
        check_written(i, number);
    }
}

static void put(void)
{
    for (uint64_t i = 0; i < N_WAITING; i++)
        write_number(waiting, 100 + i, &i);
}

static void check_waiting(void)
{
    struct io_event events[N_WAITING + 1] = {0};

    CHECK_EQ(syscall(SYS_io_getevents, waiting, 1, N_WAITING + 1, events, NULL), N_WAITING);
    for (uint64_t i = 0; i < N_WAITING; i++) {
        CHECK_EQ(events[i].data, 100 + i);
        CHECK_EQ(events[i].res, sizeof(i));
        check_written(100 + i, i);
    }
}

int main(int argc, char **argv)
{
    char path[4200];

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "data");
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    MUST(file >= 0);
    MUST(syscall(SYS_io_setup, 8, &plain) == 0);
    MUST(syscall(SYS_io_setup, N_PLACES, &waiting) == 0);
    use(plain, 20);
    use(waiting, 3 * N_PLACES);
    put();
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(syscall(SYS_io_getevents, plain, 0, 1, NULL, NULL), 0);
        check_waiting();
        use(plain, 33);
        use(waiting, 2 * N_PLACES + 7);
        put();
    }
    return 0;
}
