/*
 * pipe_broken.c - pipes whose other end is closed: end of file after the data, EPIPE
 */
#include <poll.h>
#include <signal.h>
#include "victim.h"

int main(int argc, char **argv)
{
    int a[2], b[2], c[2];
    char buffer[16];

    victim_init(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    MUST(pipe(a) == 0 && pipe(b) == 0 && pipe(c) == 0);
    MUST(write(a[1], "left", 4) == 4);
    close(a[1]);
    close(b[1]);
    close(c[0]);
    bool taken = false;

    victim_ready();
    while (victim_wait()) {
        if (!taken && victim_round == 2) {
            CHECK(read(a[0], buffer, sizeof(buffer)) == 4 && memcmp(buffer, "left", 4) == 0);
            CHECK_EQ(read(a[0], buffer, 1), 0);
            taken = true;
        }
        struct pollfd p = {.fd = a[0], .events = POLLIN};
        CHECK_EQ(poll(&p, 1, 0), 1);
        CHECK_EQ(p.revents, taken ? POLLHUP : POLLIN | POLLHUP);
        CHECK_EQ(read(b[0], buffer, 1), 0);
        errno = 0;
        CHECK(write(c[1], "x", 1) < 0 && errno == EPIPE);
    }
    return 0;
}
