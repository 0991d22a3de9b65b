/*
 * tree_children.c - children and grandchildren: who is whose, nobody hears of an end that was none
 */
#include "victim_tree.h"

#define N 3

static volatile sig_atomic_t n_ends;
static struct tree_child grandchild;

static void on_child(int sig)
{
    n_ends++;
}

/* A child: asks its own child, ends it at its end, and starts a short-lived one. */
static void act(char command, struct tree_answer *answer)
{
    if (!grandchild.command)
        grandchild = tree_start(NULL);
    if (command == 'q') {
        answer->value = tree_end(&grandchild) == 0 ? 40 + answer->value : 1;
        return;
    }
    struct tree_answer below = tree_ask(&grandchild, command);
    answer->value = below.parent == getpid() && below.pid != getpid() && below.group == getpgrp() &&
                    below.session == getsid(0);
    if (command == 'f') {
        int status = -1;
        pid_t pid = fork();
        if (pid == 0)
            _exit(5);
        answer->value =
            answer->value && pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5;
    }
}

static void check_child(struct tree_child *child, char command)
{
    struct tree_answer answer = tree_ask(child, command);

    CHECK_EQ(answer.parent, getpid());
    CHECK_EQ(answer.group, getpgrp());
    CHECK_EQ(answer.session, getsid(0));
    CHECK(kill(answer.pid, 0) == 0);
    CHECK_EQ(answer.value, 1);
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_child};
    struct tree_child children[N];

    victim_init(argc, argv);
    MUST(sigaction(SIGCHLD, &action, NULL) == 0);
    for (int i = 0; i < N; i++)
        children[i] = tree_start(act);
    for (int i = 0; i < N; i++)
        MUST(tree_ask(&children[i], 'a').value == 1);
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(n_ends, 0);
        CHECK_EQ(waitpid(-1, NULL, WNOHANG), 0);
        for (int i = 0; i < N; i++) {
            check_child(&children[i], 'a');
            check_child(&children[i], 'f');
        }
    }
    for (int i = 0; i < N; i++)
        CHECK_EQ(WEXITSTATUS(tree_end(&children[i])), 41);
    CHECK_EQ(n_ends, N);
    CHECK(waitpid(-1, NULL, 0) < 0 && errno == ECHILD);
    return tree_result();
}
