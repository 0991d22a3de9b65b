/*
 * tree_shared.c - memory that processes share: a semaphore in it, parts that only one has mapped
 * link: -pthread
 */
#include <pthread.h>
#include <semaphore.h>
#include "victim_tree.h"

#define N    3
#define PAGE 4096l
#define PART (8 * PAGE)

struct board {
    sem_t go, done;
    pthread_mutex_t lock;
    long total;
    volatile bool end;
};

static struct board *board;
static long *parts; /* two of them; the parent lets go the second, a child the first */
static long *late;  /* of the parent and the workers, not of the child that was there before */

static _Noreturn void work(void)
{
    for (;;) {
        while (sem_wait(&board->go) < 0)
            ;
        if (board->end)
            _exit(32);
        pthread_mutex_lock(&board->lock);
        board->total++;
        pthread_mutex_unlock(&board->lock);
        sem_post(&board->done);
    }
}

static void act(char command, struct tree_answer *answer)
{
    static bool parted;

    if (!parted) {
        MUST(munmap(parts, PART) == 0);
        parted = true;
    }
    if (command == 'w')
        parts[PART / sizeof(long) + 3]++;
    answer->value = command == 'q' ? 0 : parts[PART / sizeof(long) + 3] + board->total;
}

static void make_board(void)
{
    pthread_mutexattr_t attributes;

    board = tree_share(sizeof(*board));
    MUST(sem_init(&board->go, 1, 0) == 0 && sem_init(&board->done, 1, 0) == 0);
    MUST(pthread_mutexattr_init(&attributes) == 0);
    MUST(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
    MUST(pthread_mutex_init(&board->lock, &attributes) == 0);
}

static void run_round(void)
{
    long before = board->total;

    for (int i = 0; i < 3 * N; i++)
        sem_post(&board->go);
    for (int i = 0; i < 3 * N; i++)
        while (sem_wait(&board->done) < 0)
            ;
    CHECK_EQ(board->total - before, 3 * N);
}

int main(int argc, char **argv)
{
    pid_t workers[N];

    victim_init(argc, argv);
    make_board();
    parts = tree_share(2 * PART);
    for (long i = 0; i < 2 * PART / (long)sizeof(long); i += PAGE / sizeof(long))
        parts[i] = 1000 + i;
    struct tree_child child = tree_start(act);
    MUST(tree_ask(&child, 'w').value == 1);
    MUST(munmap((char *)parts + PART, PART) == 0);
    late = tree_share(PAGE);
    for (int i = 0; i < N; i++) {
        workers[i] = fork();
        MUST(workers[i] >= 0);
        if (workers[i] == 0)
            work();
    }
    victim_ready();
    for (long round = 1; victim_wait(); round++) {
        run_round();
        for (long i = 0; i < PART / (long)sizeof(long); i += PAGE / sizeof(long))
            CHECK_EQ(parts[i], 1000 + i + (i == 0 ? round - 1 : 0));
        parts[0]++;
        CHECK_EQ(tree_ask(&child, 'a').value, round + board->total);
        CHECK_EQ(tree_ask(&child, 'w').value, round + 1 + board->total);
        CHECK_EQ(*late, round - 1);
        *late = round;
    }
    CHECK_EQ(WEXITSTATUS(tree_end(&child)), 0);
    board->end = true;
    for (int i = 0; i < N; i++)
        sem_post(&board->go);
    for (int i = 0, status; i < N; i++)
        CHECK(waitpid(-1, &status, 0) > 0 && WEXITSTATUS(status) == 32);
    return tree_result();
}
