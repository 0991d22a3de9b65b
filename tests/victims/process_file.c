/*
 * process_file.c - a file about a process can't be saved yet: the refusal names it
 *
 * refused: is a file about a process (/proc/
 */
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = open("/proc/self/status", O_RDONLY);
    MUST(fd >= 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
