/*
 * high_fd.c - a descriptor with the highest number that the limit allows
 */
#include <sys/resource.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct rlimit limit;

    victim_init(argc, argv);
    getrlimit(RLIMIT_NOFILE, &limit);
    int null = open("/dev/null", O_RDWR), highest = (int)limit.rlim_cur - 1;
    MUST(null >= 0 && dup2(null, highest) == highest);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(write(highest, "x", 1), 1);
        CHECK(fcntl(highest - 1, F_GETFD) < 0);
        CHECK(dup2(null, highest + 1) < 0);
    }
    return 0;
}
