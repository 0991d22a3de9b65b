/*
 * tree_traced.c - a debugger and what it debugs: refused, however often one tries
 * refused: a debugger that belongs to the same tree
 */
#include <sys/ptrace.h>
#include "victim_tree.h"

int main(int argc, char **argv)
{
    int status;

    victim_init(argc, argv);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0)
        for (;;)
            pause();
    MUST(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0);
    victim_ready();
    while (victim_wait()) {
        CHECK(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
        CHECK(waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status));
        CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return tree_result();
}
