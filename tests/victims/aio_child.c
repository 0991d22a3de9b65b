/*
 * aio_child.c - a child has its parent's ring of asynchronous I/O mapped, but not the context
 *
 * refused: of another process, or gone
 */
#include <linux/aio_abi.h>
#include <signal.h>
#include <sys/syscall.h>
#include "victim.h"

int main(int argc, char **argv)
{
    aio_context_t context = 0;

    victim_init(argc, argv);
    MUST(syscall(SYS_io_setup, 8, &context) == 0);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    victim_ready();
    while (victim_wait())
        CHECK(syscall(SYS_io_getevents, context, 0, 0, NULL, NULL) == 0);
    kill(child, SIGKILL);
    return 0;
}
