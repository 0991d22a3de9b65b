/*
 * namespace.c - a namespace can't be saved yet: the refusal names it
 *
 * refused: is a namespace (net:[
 */
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = open("/proc/self/ns/net", O_RDONLY);
    MUST(fd >= 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
