/*
 * io_uring_shared.c - a ring that two processes have
 *
 * refused: has it, too
 */
#include <signal.h>
#include "victim_uring.h"

int main(int argc, char **argv)
{
    struct ring r;

    victim_init(argc, argv);
    ring_make(&r, 4, 0);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    victim_ready();
    while (victim_wait())
        ring_spin(&r, 3);
    kill(child, SIGKILL);
    return 0;
}
