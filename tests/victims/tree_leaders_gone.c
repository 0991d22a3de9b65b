/*
 * tree_leaders_gone.c - children whose first threads have ended; how they end is what it would be
 *
 * One is ended by exit_group() of another thread, one by the end of its last thread, one by a
 * signal; this one has a child of its own, made by a thread that lives.
 * link: -pthread
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "victim_tree.h"

enum { BY_EXIT, BY_LAST_THREAD, BY_SIGNAL, N_CHILDREN };

struct board {
    volatile int ready[N_CHILDREN], end[N_CHILDREN];
    volatile unsigned long turns[N_CHILDREN];
};

static struct board *board;

static void *run(void *arg)
{
    int i = (int)(intptr_t)arg, status;

    if (i == BY_SIGNAL && fork() == 0) {
        while (!board->end[i])
            victim_sleep_ms(1);
        _exit(7);
    }
    board->ready[i] = 1;
    for (; !board->end[i]; board->turns[i]++)
        victim_sleep_ms(1);
    if (i == BY_EXIT)
        _exit(41);
    if (i == BY_LAST_THREAD)
        syscall(SYS_exit, 42);
    if (waitpid(-1, &status, 0) < 0 || status != 7 << 8)
        _exit(99);
    kill(getpid(), SIGKILL);
    return NULL;
}

static void start(int i)
{
    pthread_t thread;
    pid_t pid = fork();

    MUST(pid >= 0);
    if (pid > 0)
        return;
    MUST(pthread_create(&thread, NULL, run, (void *)(intptr_t)i) == 0);
    syscall(SYS_exit, 3);
    _exit(98);
}

static void check(int i)
{
    unsigned long before = board->turns[i];

    for (int ms = 0; board->turns[i] < before + 2 && ms < 15000; ms++)
        victim_sleep_ms(1);
    CHECK(board->turns[i] >= before + 2);
}

int main(int argc, char **argv)
{
    const int wanted[] = {41 << 8, 42 << 8, SIGKILL};
    int status;

    victim_init(argc, argv);
    /* Kernels before 6.9 show the descriptors of such a process to nobody: it is refused. */
    int pidfd = syscall(SYS_pidfd_open, getpid(), O_EXCL);
    if (pidfd < 0) {
        fprintf(stderr, "a kernel without pidfds of threads\n");
        return 77;
    }
    close(pidfd);
    board = tree_share(sizeof(*board));
    for (int i = 0; i < N_CHILDREN; i++)
        start(i);
    for (int i = 0; i < N_CHILDREN; i++)
        while (!board->ready[i])
            victim_sleep_ms(1);
    victim_ready();
    while (victim_wait())
        for (int i = 0; i < N_CHILDREN; i++) {
            check(i);
            CHECK_EQ(waitpid(-1, NULL, WNOHANG), 0);
        }
    for (int i = 0; i < N_CHILDREN; i++) {
        board->end[i] = 1;
        status = 0;
        CHECK(waitpid(-1, &status, 0) > 0);
        CHECK_EQ(status, wanted[i]);
    }
    return tree_result();
}
