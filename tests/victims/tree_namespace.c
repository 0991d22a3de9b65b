/*
 * tree_namespace.c - a child in a namespace that its parent isn't in
 * refused: namespace
 * kinds: namespaces
 */
#include <sched.h>
#include "victim_tree.h"

int main(int argc, char **argv)
{
    int told[2];
    char word = 0;

    victim_init(argc, argv);
    MUST(pipe(told) == 0);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        word = unshare(CLONE_NEWUSER | CLONE_NEWUTS) == 0 ? 'y' : 'n';
        victim_allow_tracer();
        tree_write(told[1], &word, 1);
        for (;;)
            pause();
    }
    tree_read(told[0], &word, 1);
    if (word != 'y') {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        fprintf(stderr, "user namespaces can't be made here\n");
        return 77;
    }
    victim_ready();
    while (victim_wait())
        CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return 0;
}
