/*
 * tree_sharing_files.c - a child that shares with its parent what only threads share (CLONE_FILES)
 * refused: share their table of descriptors
 */
#include <sched.h>
#include "victim_tree.h"

static char stack[65536] __attribute__((aligned(16)));

static int child(void *arg)
{
    for (;;)
        pause();
    return arg != NULL;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    pid_t pid = clone(child, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL);
    MUST(pid > 0);
    victim_ready();
    while (victim_wait())
        CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return 0;
}
