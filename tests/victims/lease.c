/*
 * lease.c - a lease on a file can't be saved yet: the refusal names it
 *
 * refused: the program holds a lease on it
 */
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    char path[5000];

    victim_path(path, sizeof(path), "data");
    int fd = open(path, O_RDONLY | O_CREAT, 0600);
    MUST(fd >= 0 && fcntl(fd, F_SETLEASE, F_RDLCK) == 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
