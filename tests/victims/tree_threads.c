/*
 * tree_threads.c - children of threads: each thread can wait for its own (__WNOTHREAD)
 * link: -pthread
 */
#include <pthread.h>
#include <semaphore.h>
#include "victim_tree.h"

static sem_t go, done;
static volatile int end;
static int found_while_alive, status_of_end;
static struct tree_child child;

static void act(char command, struct tree_answer *answer)
{
    answer->value = command == 'q' ? 12 : 0;
}

static void *run(void *arg)
{
    child = tree_start(act);
    sem_post(&done);
    for (;;) {
        while (sem_wait(&go) < 0)
            ;
        if (end)
            break;
        found_while_alive = waitpid(-1, NULL, WNOHANG | __WNOTHREAD);
        sem_post(&done);
    }
    char q = 'q';
    tree_write(child.command, &q, 1);
    if (waitpid(-1, &status_of_end, __WNOTHREAD) < 0)
        status_of_end = -1;
    return arg;
}

static void wait_until_done(void)
{
    while (sem_wait(&done) < 0)
        ;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    victim_init(argc, argv);
    MUST(sem_init(&go, 0, 0) == 0 && sem_init(&done, 0, 0) == 0);
    MUST(pthread_create(&thread, NULL, run, NULL) == 0);
    wait_until_done();
    MUST(waitpid(-1, NULL, WNOHANG | __WNOTHREAD) < 0 && errno == ECHILD);
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(tree_ask(&child, 'a').parent, getpid());
        CHECK(waitpid(-1, NULL, WNOHANG | __WNOTHREAD) < 0 && errno == ECHILD);
        CHECK_EQ(waitpid(-1, NULL, WNOHANG), 0);
        found_while_alive = -1;
        sem_post(&go);
        wait_until_done();
        CHECK_EQ(found_while_alive, 0);
    }
    end = 1;
    sem_post(&go);
    MUST(pthread_join(thread, NULL) == 0);
    CHECK_EQ(WEXITSTATUS(status_of_end), 12);
    return tree_result();
}
