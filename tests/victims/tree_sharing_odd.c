/*
 * tree_sharing_odd.c - a grandchild that shares descriptors with its grandparent, not its parent
 * refused: but neither can have got it from the other
 */
#include <sched.h>

#include "victim_tree.h"

static volatile int *ready, *end;
static char stacks[2][65536] __attribute__((aligned(16)));

static int grandchild(void *arg)
{
    *ready = 1;
    while (!*end)
        victim_sleep_ms(1);
    return arg ? 1 : 5;
}

static int child(void *arg)
{
    int status = 0;

    if (clone(grandchild, stacks[1] + sizeof(stacks[1]), CLONE_FILES | SIGCHLD, arg) < 0 ||
        unshare(CLONE_FILES) < 0)
        _exit(9);
    waitpid(-1, &status, 0);
    return WEXITSTATUS(status) + 1;
}

int main(int argc, char **argv)
{
    int status;

    victim_init(argc, argv);
    ready = tree_share(2 * sizeof(int));
    end = ready + 1;
    MUST(clone(child, stacks[0] + sizeof(stacks[0]), CLONE_FILES | SIGCHLD, NULL) > 0);
    while (!*ready)
        victim_sleep_ms(1);
    victim_ready();
    while (victim_wait())
        CHECK_EQ(waitpid(-1, NULL, WNOHANG), 0);
    *end = 1;
    CHECK(waitpid(-1, &status, 0) > 0 && status == 6 << 8);
    return tree_result();
}
