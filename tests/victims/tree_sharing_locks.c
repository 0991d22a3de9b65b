/*
 * tree_sharing_locks.c - a lock (POSIX) that a child took in a table of descriptors that it shares
 */
#include <sched.h>
#include <sys/syscall.h>

#include "victim_tree.h"

struct board {
    volatile int ready, end;
    volatile pid_t child;
};

static struct board *board;
static int fd;
static char stack[65536] __attribute__((aligned(16)));

static int run(void *arg)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5};

    board->ready = fcntl(fd, F_SETLK, &lock) == 0 ? 1 : -1;
    while (!board->end) {
        board->child = (pid_t)syscall(SYS_getpid);
        victim_sleep_ms(1);
    }
    return arg ? 1 : 0;
}

static struct flock look(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    CHECK(fcntl(fd, F_GETLK, &lock) == 0);
    return lock;
}

int main(int argc, char **argv)
{
    struct flock *seen;
    int status;
    char path[5000];

    victim_init(argc, argv);
    board = tree_share(sizeof(*board));
    seen = tree_share(sizeof(*seen));
    victim_path(path, sizeof(path), "locked");
    MUST((fd = open(path, O_RDWR | O_CREAT, 0600)) >= 0);
    MUST(clone(run, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL) > 0);
    while (!board->ready)
        victim_sleep_ms(1);
    MUST(board->ready == 1);
    victim_ready();
    while (victim_wait()) {
        board->child = 0;
        while (board->child == 0)
            victim_sleep_ms(1);
        CHECK_EQ(look().l_type, F_UNLCK); /* it is the parent's, too */
        pid_t pid = fork();
        if (pid == 0) {
            *seen = look();
            _exit(0);
        }
        CHECK(waitpid(pid, NULL, 0) == pid);
        CHECK_EQ(seen->l_type, F_WRLCK);
        CHECK_EQ(seen->l_start, 10);
        CHECK_EQ(seen->l_len, 5);
        CHECK_EQ(seen->l_pid, board->child);
    }
    board->end = 1;
    CHECK(waitpid(-1, &status, 0) > 0 && status == 0);
    return tree_result();
}
