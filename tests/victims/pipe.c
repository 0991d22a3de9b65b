/*
 * pipe.c - pipes of the program's own with data in them, a size, flags at each end
 */
#include <sys/ioctl.h>
#include "victim.h"

#define SIZE (1 << 17)
#define DATA 100000

static char data[DATA], buffer[DATA + 1];

static int waiting(int fd)
{
    int n = -1;

    ioctl(fd, FIONREAD, &n);
    return n;
}

int main(int argc, char **argv)
{
    int full[2], empty[2];
    char name[64];

    victim_init(argc, argv);
    for (int i = 0; i < DATA; i++)
        data[i] = i % 251;
    MUST(pipe(full) == 0 && pipe2(empty, O_NONBLOCK | O_CLOEXEC) == 0);
    MUST(fcntl(full[0], F_SETPIPE_SZ, SIZE) == SIZE && write(full[1], data, DATA) == DATA);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", full[1]);
    int second = open(name, O_WRONLY | O_NONBLOCK); /* another description of the same end */
    MUST(second >= 0);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(fcntl(full[0], F_GETPIPE_SZ), SIZE);
        CHECK_EQ(waiting(full[0]), DATA);
        CHECK(read(full[0], buffer, sizeof(buffer)) == DATA && memcmp(buffer, data, DATA) == 0);
        CHECK_EQ(fcntl(full[0], F_GETFL) & O_NONBLOCK, 0);
        CHECK_EQ(fcntl(full[1], F_GETFL) & O_NONBLOCK, 0);
        CHECK_EQ(fcntl(second, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        CHECK_EQ(write(second, data, 1000), 1000);
        CHECK_EQ(write(full[1], data + 1000, DATA - 1000), DATA - 1000);

        errno = 0;
        CHECK(read(empty[0], buffer, 1) < 0 && errno == EAGAIN);
        CHECK(write(empty[1], "x", 1) == 1 && read(empty[0], buffer, 2) == 1 && buffer[0] == 'x');
        CHECK_EQ(fcntl(empty[1], F_GETFD), FD_CLOEXEC);
    }
    return 0;
}
