/*
 * children.c - a process that has a child process is refused
 * refused: has a child process
 */
#include <signal.h>
#include <sys/wait.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0)
        for (;;)
            pause();
    victim_ready();
    while (victim_wait())
        CHECK(kill(child, 0) == 0 && waitpid(child, NULL, WNOHANG) == 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}
