/*
 * sysv_ipc_undo.c - SEM_UNDO: at its end each process gives back what it has taken
 *
 * isolate: ipc
 */
#include <pthread.h>
#include <sys/sem.h>
#include "victim_tree.h"

#define N 60

static int id;

static void change(unsigned short number, short by)
{
    struct sembuf operation = {number, by, SEM_UNDO | IPC_NOWAIT};

    if (semop(id, &operation, 1) < 0)
        _exit(96);
}

/* 't': take; 'n': take nothing. */
static void act(char command, struct tree_answer *answer)
{
    static int pieces;

    if (command == 't' && pieces++ == 0) {
        change(1, -3);  /* +3 at the end */
        change(2, 100); /* -100 */
        change(3, 32767);
        change(4, -32767);
        change(6, 1);
        change(55, 1);
        change(56, 32767);
        if (semctl(id, 56, SETVAL, 5) < 0) /* which forgets it */
            _exit(96);
    }
}

static void *hold(void *arg)
{
    pause();
    return arg;
}

static void check_values(bool held)
{
    CHECK_EQ(semctl(id, 0, GETVAL), 8); /* the victim itself holds 2 */
    CHECK_EQ(semctl(id, 1, GETVAL), held ? 7 : 10);
    CHECK_EQ(semctl(id, 2, GETVAL), held ? 100 : 0);
    CHECK_EQ(semctl(id, 3, GETVAL), held ? 32767 : 0);
    CHECK_EQ(semctl(id, 4, GETVAL), held ? 0 : 32767);
    CHECK_EQ(semctl(id, 6, GETVAL), held ? 1 : 0);
    CHECK_EQ(semctl(id, 55, GETVAL), held ? 1 : 0);
    CHECK_EQ(semctl(id, 56, GETVAL), 5);
}

static void start(void)
{
    unsigned short values[N] = {10, 10, 0, 0, 32767};

    MUST(semctl(id, 0, SETALL, values) == 0);
    values[0] = 0;
    change(0, -2);
}

/* After each round the child ends, which shows what was undone, and another one begins. */
int main(int argc, char **argv)
{
    pthread_t thread;

    victim_init(argc, argv);
    id = semget(IPC_PRIVATE, N, IPC_CREAT | 0600);
    MUST(id >= 0 && pthread_create(&thread, NULL, hold, NULL) == 0);
    start();
    struct tree_child taker = tree_start(act), other = tree_start(act);
    tree_ask(&taker, 't');
    tree_ask(&other, 'n');
    victim_ready();
    while (victim_wait()) {
        check_values(true);
        CHECK_EQ(tree_end(&taker), 0);
        check_values(false);
        CHECK_EQ(tree_end(&other), 0);
        check_values(false);
        start();
        taker = tree_start(act);
        other = tree_start(act);
        tree_ask(&taker, 't');
        tree_ask(&other, 'n');
    }
    tree_end(&taker);
    tree_end(&other);
    return tree_result();
}
