/*
 * tree_vfork.c - a process inside of vfork(2), which can't be stopped before its child goes on
 */
#include "victim_tree.h"

struct board {
    volatile int end;
    volatile unsigned long done;
    volatile int fault;
};

static struct board *board;

/* The child takes its time before it ends; most of the time the parent waits for it. */
static _Noreturn void work(void)
{
    while (!board->end) {
        struct timespec while_ = {0, 30000000};
        int status;
        pid_t pid = vfork();
        if (pid == 0) {
            nanosleep(&while_, NULL);
            execl("/bin/sh", "sh", "-c", "exit 21", (char *)NULL);
            _exit(22);
        }
        if (pid < 0 || waitpid(-1, &status, 0) < 0 || WEXITSTATUS(status) != 21)
            board->fault = 1;
        board->done++;
    }
    _exit(20);
}

int main(int argc, char **argv)
{
    int status;

    victim_init(argc, argv);
    board = tree_share(sizeof(*board));
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0)
        work();
    while (board->done == 0)
        victim_sleep_ms(1);
    victim_ready();
    while (victim_wait()) {
        unsigned long before = board->done;
        for (int ms = 0; board->done < before + 2 && ms < 15000; ms++)
            victim_sleep_ms(1);
        CHECK(board->done >= before + 2);
        CHECK_EQ(board->fault, 0);
    }
    board->end = 1;
    CHECK(waitpid(-1, &status, 0) > 0 && WEXITSTATUS(status) == 20);
    return tree_result();
}
