/*
 * process_file_outside.c - a file about a process that isn't part of the snapshot is refused
 *
 * refused: is a file about a process (/proc/1/stat): the process isn't part of the checkpoint
 */
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = open("/proc/1/stat", O_RDONLY);
    MUST(fd >= 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
