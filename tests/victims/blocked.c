/*
 * blocked.c - threads blocked without a timeout: read, sigsuspend, pause, futex, semaphore,
 * condition variable, flock, sigwait, epoll, msgrcv; after a checkpoint or restart each still
 * blocks, and wakes up by what it waits for
 *
 * link: -lpthread
 */
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "victim.h"

enum { READ, SUSPEND, PAUSE, SEMAPHORE, CONDITION, FLOCK, SIGWAIT, EPOLL, POLL, N_KINDS };

static const char *const names[] = {"read",  "sigsuspend", "pause", "sem_wait", "cond_wait",
                                    "flock", "sigwait",    "epoll", "poll"};

static int pipe_fds[2], event_fd, epoll_fd, lock_fd;
static sem_t semaphore;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int condition_value;
static pthread_t threads[N_KINDS];
static atomic_int woken[N_KINDS], wrong[N_KINDS], handled;

static void on_signal(int s)
{
    atomic_fetch_add(&handled, 1);
}

static void note(int kind, bool right)
{
    atomic_fetch_add(right ? &woken[kind] : &wrong[kind], 1);
}

static void *block_read(void *arg)
{
    for (char c;;)
        note(READ, read(pipe_fds[0], &c, 1) == 1 && c == 'x');
    return arg;
}

static void *block_suspend(void *arg)
{
    sigset_t set;

    sigfillset(&set);
    sigdelset(&set, SIGUSR1);
    for (;;)
        note(SUSPEND, sigsuspend(&set) < 0 && errno == EINTR);
    return arg;
}

static void *block_pause(void *arg)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    for (;;)
        note(PAUSE, pause() < 0 && errno == EINTR);
    return arg;
}

static void *block_semaphore(void *arg)
{
    for (;;)
        note(SEMAPHORE, sem_wait(&semaphore) == 0);
    return arg;
}

static void *block_condition(void *arg)
{
    pthread_mutex_lock(&mutex);
    for (;;) {
        while (condition_value == 0)
            pthread_cond_wait(&condition, &mutex);
        condition_value = 0;
        note(CONDITION, true);
    }
    return arg;
}

/* Waits for a lock that another description of the same process holds. */
static void *block_flock(void *arg)
{
    int fd = open((char *)arg, O_RDWR | O_CLOEXEC);

    MUST(fd >= 0);
    for (;;) {
        int r = flock(fd, LOCK_EX);
        flock(fd, LOCK_UN);
        note(FLOCK, r == 0);
        victim_sleep_ms(50);
    }
    return arg;
}

static void *block_sigwait(void *arg)
{
    sigset_t set;
    int s;

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    for (;;)
        note(SIGWAIT, sigwait(&set, &s) == 0 && s == SIGRTMIN + 1);
    return arg;
}

static void *block_epoll(void *arg)
{
    struct epoll_event event;
    uint64_t value;

    for (;;)
        note(EPOLL, epoll_wait(epoll_fd, &event, 1, -1) == 1 && event.data.u64 == 77 &&
                        read(event_fd, &value, 8) == 8);
    return arg;
}

static int poll_fds[2];

static void *block_poll(void *arg)
{
    struct pollfd p = {.fd = poll_fds[0], .events = POLLIN};
    char c;

    for (;;)
        note(POLL, poll(&p, 1, -1) == 1 && read(poll_fds[0], &c, 1) == 1);
    return arg;
}

static void wake_all(void)
{
    uint64_t one = 1;

    CHECK(write(pipe_fds[1], "x", 1) == 1);
    CHECK(write(poll_fds[1], "y", 1) == 1);
    CHECK(write(event_fd, &one, 8) == 8);
    pthread_kill(threads[SUSPEND], SIGUSR1);
    pthread_kill(threads[PAUSE], SIGUSR2);
    pthread_kill(threads[SIGWAIT], SIGRTMIN + 1);
    sem_post(&semaphore);
    pthread_mutex_lock(&mutex);
    condition_value = 1;
    pthread_cond_signal(&condition);
    pthread_mutex_unlock(&mutex);
    flock(lock_fd, LOCK_UN);
    victim_sleep_ms(20);
    for (int i = 0; i < 300 && atomic_load(&woken[FLOCK]) == 0; i++)
        victim_sleep_ms(10);
    CHECK(flock(lock_fd, LOCK_EX) == 0);
}

static void check_all(int round)
{
    int before[N_KINDS];

    for (int i = 0; i < N_KINDS; i++) {
        before[i] = atomic_load(&woken[i]);
        if (i != FLOCK && before[i] != round - 1)
            victim_fail("%s: woke up by itself (%d times, round %d)", names[i], before[i], round);
        if (atomic_load(&wrong[i]))
            victim_fail("%s: returned something else", names[i]);
    }
    wake_all();
    for (int i = 0; i < N_KINDS; i++) {
        for (int turn = 0; turn < 500 && atomic_load(&woken[i]) == before[i]; turn++)
            victim_sleep_ms(5);
        if (atomic_load(&woken[i]) == before[i])
            victim_fail("%s: did not wake up", names[i]);
    }
    victim_sleep_ms(60); /* all block again */
    CHECK_EQ(atomic_load(&handled), 2 * round);
}

int main(int argc, char **argv)
{
    void *(*const bodies[])(void *) = {block_read,      block_suspend,   block_pause,
                                       block_semaphore, block_condition, block_flock,
                                       block_sigwait,   block_epoll,     block_poll};
    static char path[5000];
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 77};
    sigset_t set;

    victim_init(argc, argv);
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, on_signal);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGRTMIN + 1);
    MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    MUST(pipe(pipe_fds) == 0 && pipe(poll_fds) == 0);
    MUST((event_fd = eventfd(0, 0)) >= 0 && (epoll_fd = epoll_create1(0)) >= 0);
    MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event) == 0);
    MUST(sem_init(&semaphore, 0, 0) == 0);
    victim_path(path, sizeof(path), "lock");
    MUST((lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) >= 0);
    MUST(flock(lock_fd, LOCK_EX) == 0);
    for (int i = 0; i < N_KINDS; i++)
        MUST(pthread_create(&threads[i], NULL, bodies[i], path) == 0);
    victim_sleep_ms(100);
    victim_ready();
    for (int round = 1; victim_wait(); round++)
        check_all(round);
    return 0;
}
