/*
 * owner_thread.c - one thread gets the signal of a descriptor (F_SETOWN_EX, F_OWNER_TID)
 *
 * link: -pthread
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include "victim.h"

static int ends[2];
static sem_t asked, answered;
static sigset_t mask;
static volatile int got_number, owner_type, owner_is_me;

static void *owner_thread(void *arg)
{
    const struct timespec patience = {10, 0}, now = {0, 0};
    struct f_owner_ex owner = {F_OWNER_TID, syscall(SYS_gettid)};
    siginfo_t info;
    char c;

    MUST(fcntl(ends[0], F_SETOWN_EX, &owner) == 0);
    for (;;) {
        sem_post(&answered);
        sem_wait(&asked);
        got_number = sigtimedwait(&mask, &info, &patience);
        MUST(read(ends[0], &c, 1) == 1);
        while (sigtimedwait(&mask, &info, &now) > 0)
            ;
        owner_type = fcntl(ends[0], F_GETOWN_EX, &owner) == 0 ? (int)owner.type : -1;
        owner_is_me = owner.pid == syscall(SYS_gettid);
    }
    return arg;
}

int main(int argc, char **argv)
{
    const struct timespec now = {0, 0};
    pthread_t thread;

    victim_init(argc, argv);
    sigemptyset(&mask);
    sigaddset(&mask, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    MUST(sem_init(&asked, 0, 0) == 0 && sem_init(&answered, 0, 0) == 0);
    MUST(pipe(ends) == 0 && fcntl(ends[0], F_SETSIG, SIGRTMIN + 3) == 0);
    MUST(fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK) == 0);
    MUST(pthread_create(&thread, NULL, owner_thread, NULL) == 0);
    sem_wait(&answered);

    victim_ready();
    while (victim_wait()) {
        MUST(write(ends[1], "x", 1) == 1);
        sem_post(&asked);
        sem_wait(&answered);
        CHECK_EQ(got_number, SIGRTMIN + 3);
        CHECK_EQ(owner_type, F_OWNER_TID);
        CHECK(owner_is_me);
        CHECK(sigtimedwait(&mask, NULL, &now) < 0 && errno == EAGAIN);
    }
    return 0;
}
