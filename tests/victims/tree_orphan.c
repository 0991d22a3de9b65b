/*
 * tree_orphan.c - a process whose parent has ended, adopted by a child subreaper of the tree
 */
#include "victim_tree.h"

static struct tree_child orphan; /* spoken to over what the parent left behind */

static void act(char command, struct tree_answer *answer)
{
    answer->value = command == 'q' ? 23 : 0;
}

/* The middle one starts the orphan and ends. */
static void make_orphan(void)
{
    int command[2], reply[2], status;

    MUST(pipe(command) == 0 && pipe(reply) == 0);
    pid_t middle = fork();
    MUST(middle >= 0);
    if (middle == 0) {
        pid_t pid = fork();
        if (pid == 0) {
            close(command[1]);
            close(reply[0]);
            tree_serve(command[0], reply[1], act);
        }
        _exit(pid > 0 ? 9 : 1);
    }
    MUST(waitpid(middle, &status, 0) == middle && WEXITSTATUS(status) == 9);
    close(command[0]);
    close(reply[1]);
    orphan = (struct tree_child){command[1], reply[0]};
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    make_orphan();
    MUST(tree_ask(&orphan, 'a').parent == getpid());
    victim_ready();
    while (victim_wait()) {
        struct tree_answer answer = tree_ask(&orphan, 'a');
        CHECK_EQ(answer.parent, getpid());
        CHECK(kill(answer.pid, 0) == 0);
        CHECK_EQ(waitpid(-1, NULL, WNOHANG), 0);
        /* a new one is adopted too */
        struct tree_child first = orphan;
        make_orphan();
        CHECK_EQ(tree_ask(&orphan, 'a').parent, getpid());
        CHECK_EQ(WEXITSTATUS(tree_end(&orphan)), 23);
        orphan = first;
    }
    CHECK_EQ(WEXITSTATUS(tree_end(&orphan)), 23);
    return tree_result();
}
