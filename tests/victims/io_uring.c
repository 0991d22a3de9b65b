/*
 * io_uring.c - an io_uring can't be saved yet: the refusal names it
 *
 * refused: is an io_uring (anon_inode:[io_uring])
 */
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    struct io_uring_params params = {0};
    int fd = syscall(SYS_io_uring_setup, 4, &params);
    if (fd < 0) {
        perror("io_uring_setup");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
