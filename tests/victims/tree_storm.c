/*
 * tree_storm.c - a tree that starts processes all the time: none is missed, none is harmed
 */
#include "victim_tree.h"

#define WORKERS 3

struct board {
    volatile int end;
    volatile unsigned long done[WORKERS];
    volatile int fault;
};

static struct board *board;

static void expect(bool good)
{
    if (!good)
        board->fault = 1;
}

/* Wait for all children of ours; each must have ended with `code`. */
static void wait_for(int n, int code)
{
    for (int status; n > 0; n--)
        expect(waitpid(-1, &status, 0) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == code);
}

static _Noreturn void work(int number)
{
    while (!board->end) {
        for (int i = 0; i < 2; i++) {
            pid_t child = fork();
            if (child == 0) {
                pid_t grandchild = fork();
                if (grandchild == 0)
                    _exit(17);
                expect(grandchild > 0);
                wait_for(1, 17);
                _exit(18);
            }
            expect(child > 0);
        }
        wait_for(2, 18);
        board->done[number]++;
    }
    _exit(19);
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    board = tree_share(sizeof(*board));
    for (int i = 0; i < WORKERS; i++) {
        pid_t pid = fork();
        MUST(pid >= 0);
        if (pid == 0)
            work(i);
    }
    victim_ready();
    while (victim_wait())
        for (int i = 0; i < WORKERS; i++) {
            unsigned long before = board->done[i];
            for (int ms = 0; board->done[i] < before + 3 && ms < 15000; ms++)
                victim_sleep_ms(1);
            CHECK(board->done[i] >= before + 3);
            CHECK_EQ(board->fault, 0);
        }
    board->end = 1;
    wait_for(WORKERS, 19);
    CHECK_EQ(board->fault, 0);
    return tree_result();
}
