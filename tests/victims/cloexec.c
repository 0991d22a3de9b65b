/*
 * cloexec.c - close-on-exec belongs to each descriptor, not to what they share; gaps stay gaps
 */
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int null = open("/dev/null", O_RDWR);
    MUST(null >= 0 && dup3(null, 20, O_CLOEXEC) == 20 && dup2(null, 21) == 21 &&
         dup3(null, 30, O_CLOEXEC) == 30 && close(null) == 0);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(fcntl(20, F_GETFD), FD_CLOEXEC);
        CHECK_EQ(fcntl(21, F_GETFD), 0);
        CHECK_EQ(fcntl(30, F_GETFD), FD_CLOEXEC);
        for (int fd = 3; fd < 1000; fd++)
            if (fd != 20 && fd != 21 && fd != 30)
                CHECK(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
    }
    return 0;
}
