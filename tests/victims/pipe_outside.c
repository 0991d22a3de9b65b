/*
 * pipe_outside.c - a pipe whose other end another program holds
 *
 * isolated: saved (who is outside is taken in by the supervisor)
 * refused: its writing end is held by process
 */
#include "victim_outside.h"

static int ends[2];

static void hold(void *arg)
{
    close(ends[0]);
    outside_held();
    while (outside_stays())
        ;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    MUST(pipe(ends) == 0);
    outside_start(hold, NULL);
    MUST(close(ends[1]) == 0);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
        char c;
        errno = 0;
        CHECK(read(ends[0], &c, 1) < 0 && errno == EAGAIN);
    }
    return 0;
}
