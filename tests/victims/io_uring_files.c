/*
 * io_uring_files.c - which files are registered with a ring can't be read
 *
 * refused: files are registered with it
 */
#include "victim_uring.h"

int main(int argc, char **argv)
{
    struct ring r;
    int fd = 0;

    victim_init(argc, argv);
    ring_make(&r, 4, 0);
    MUST(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_FILES, &fd, 1) == 0);
    victim_ready();
    while (victim_wait())
        ring_spin(&r, 3);
    return 0;
}
