/*
 * pending_signals.c - signals sent and not yet delivered: of the process and of a thread, with
 * data, in order
 * link: -pthread
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include "victim.h"

#define N_QUEUED 40

static sigset_t all;
static sem_t asked, answered;
static pid_t thread_id;

static pid_t gettid_now(void)
{
    return syscall(SYS_gettid);
}

/* To one thread, with a code and data of our own. */
static void queue_to_thread(pid_t tid, int number, int value)
{
    siginfo_t info = {.si_signo = number, .si_code = SI_QUEUE};

    info.si_pid = 4242; /* who sent it is part of the data */
    info.si_uid = 1717;
    info.si_value.sival_int = value;
    MUST(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, number, &info) == 0);
}

static void queue_all(void)
{
    union sigval value;

    for (int i = 0; i < N_QUEUED; i++) {
        value.sival_int = 1000 + i;
        MUST(sigqueue(getpid(), SIGRTMIN + 5 + i % 2, value) == 0);
    }
    MUST(kill(getpid(), SIGUSR1) == 0);
    MUST(kill(getpid(), SIGTSTP) == 0);
    MUST(kill(getpid(), SIGCHLD) == 0); /* blocked, so it waits although it would be ignored */
}

static int take(siginfo_t *info)
{
    const struct timespec none = {0, 0};

    memset(info, 0, sizeof(*info));
    return sigtimedwait(&all, info, &none);
}

static void check_process(void)
{
    siginfo_t info;

    CHECK_EQ(take(&info), SIGUSR1);
    CHECK_EQ(info.si_code, SI_USER);
    CHECK_EQ(info.si_uid, getuid());
    CHECK_EQ(take(&info), SIGCHLD);
    CHECK_EQ(take(&info), SIGTSTP);
    for (int which = 0; which < 2; which++)
        for (int i = which; i < N_QUEUED; i += 2) {
            CHECK_EQ(take(&info), SIGRTMIN + 5 + which);
            CHECK_EQ(info.si_code, SI_QUEUE);
            CHECK_EQ(info.si_value.sival_int, 1000 + i);
        }
    CHECK_EQ(take(&info), -1);
    CHECK_EQ(errno, EAGAIN);
}

static void check_thread(void)
{
    siginfo_t info;

    for (int i = 0; i < 3; i++) {
        CHECK_EQ(take(&info), SIGRTMIN + 9);
        CHECK_EQ(info.si_value.sival_int, i);
        CHECK_EQ(info.si_code, SI_QUEUE);
        CHECK_EQ(info.si_pid, 4242);
        CHECK_EQ(info.si_uid, 1717);
    }
}

static void *run(void *arg)
{
    thread_id = gettid_now();
    sem_post(&answered);
    for (;;) {
        while (sem_wait(&asked) < 0)
            ;
        check_thread();
        thread_id = gettid_now(); /* it may have changed */
        sem_post(&answered);
    }
    return arg;
}

static void wait_for_thread(void)
{
    while (sem_wait(&answered) < 0)
        ;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    victim_init(argc, argv);
    sigfillset(&all);
    MUST(sigprocmask(SIG_BLOCK, &all, NULL) == 0);
    MUST(sem_init(&asked, 0, 0) == 0 && sem_init(&answered, 0, 0) == 0);
    MUST(pthread_create(&thread, NULL, run, NULL) == 0);
    wait_for_thread();
    do {
        for (int i = 0; i < 3; i++)
            queue_to_thread(thread_id, SIGRTMIN + 9, i);
        queue_all();
        if (victim_round == 0)
            victim_ready();
        if (!victim_wait())
            return 0;
        sem_post(&asked);
        wait_for_thread();
        check_process();
    } while (true);
}
