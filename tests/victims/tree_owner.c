/*
 * tree_owner.c - a descriptor whose signals go to another process of the tree (F_SETOWN)
 */
#include "victim_tree.h"

static volatile sig_atomic_t n_signals;

static void on_signal(int sig)
{
    n_signals++;
}

static void act(char command, struct tree_answer *answer)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    if (command == 'h')
        MUST(sigaction(SIGIO, &action, NULL) == 0);
    answer->value = command == 'q' ? 0 : n_signals;
}

int main(int argc, char **argv)
{
    int ends[2];

    victim_init(argc, argv);
    MUST(pipe(ends) == 0);
    struct tree_child child = tree_start(act);
    pid_t pid = tree_ask(&child, 'h').pid;
    MUST(fcntl(ends[0], F_SETOWN, pid) == 0);
    MUST(fcntl(ends[0], F_SETFL, O_ASYNC) == 0);
    victim_ready();
    for (long round = 1; victim_wait(); round++) {
        char byte;
        pid = tree_ask(&child, 'a').pid;
        CHECK_EQ(fcntl(ends[0], F_GETOWN), pid);
        CHECK(write(ends[1], "x", 1) == 1);
        CHECK_EQ(tree_ask(&child, 'a').value, round);
        CHECK(read(ends[0], &byte, 1) == 1);
    }
    CHECK_EQ(tree_end(&child), 0);
    return tree_result();
}
