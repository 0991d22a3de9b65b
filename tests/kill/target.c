/*
 * target.c - a threaded program that notices whatever is done to it
 *
 * Its threads sit in every common blocking call, run, and hand work to each other. Each counts its
 * rounds and what must not happen: a call that ends with EINTR, ends too early, or gives wrong
 * data; a changed signal mask; memory that is not what was written. Asked (see victim.h), it says
 * whether all threads made progress since the last time and nothing was noticed.
 */
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include "../victims/victim.h"

#define MEMORY_SIZE (16 << 20)

static atomic_uint problems;
static char first_problem[256];
static unsigned char *memory;
static int idle_pipe[2], work_pipe[2], event;
static sem_t never_posted;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static unsigned turn;

static void problem(const char *what, long got)
{
    if (atomic_fetch_add(&problems, 1) == 0)
        snprintf(first_problem, sizeof(first_problem), "%s: %ld (errno %d %s)", what, got, errno,
                 strerror(errno));
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A wait of 30 ms that must end by its timeout, not before. */
static void judge_wait(const char *what, int got, int expected, double begun)
{
    double took = now_s() - begun;

    if (got != expected)
        problem(what, got);
    if (took < 0.0299)
        problem(what, (long)(took * 1e6));
}

static void sleeper(void)
{
    double begun = now_s();
    struct timespec t = {0, 30000000};

    judge_wait("nanosleep", nanosleep(&t, NULL), 0, begun);
}

static void sleeper_absolute(void)
{
    double begun = now_s();
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += 30000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    judge_wait("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0,
               begun);
}

static void poller(void)
{
    struct pollfd p = {.fd = idle_pipe[0], .events = POLLIN};
    double begun = now_s();

    judge_wait("poll", poll(&p, 1, 30), 0, begun);
}

static void epoller(void)
{
    static _Thread_local int fd = -1;
    struct epoll_event e = {.events = EPOLLIN};
    double begun = now_s();

    if (fd < 0) {
        MUST((fd = epoll_create1(EPOLL_CLOEXEC)) >= 0);
        MUST(epoll_ctl(fd, EPOLL_CTL_ADD, idle_pipe[0], &e) == 0);
    }
    begun = now_s();
    judge_wait("epoll_wait", epoll_wait(fd, &e, 1, 30), 0, begun);
}

static void timer_reader(void)
{
    static _Thread_local int fd = -1;
    uint64_t ticks = 0;

    if (fd < 0) {
        struct itimerspec t = {{0, 20000000}, {0, 20000000}};
        MUST((fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) >= 0);
        MUST(timerfd_settime(fd, 0, &t, NULL) == 0);
    }
    ssize_t n = read(fd, &ticks, sizeof(ticks));
    if (n != sizeof(ticks) || ticks == 0)
        problem("read of a timerfd", n);
}

static void semaphore_waiter(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 30000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    if (sem_timedwait(&never_posted, &t) != -1 || errno != ETIMEDOUT)
        problem("sem_timedwait", errno);
}

static void writer(void)
{
    static _Thread_local unsigned n;

    n++;
    ssize_t r = write(work_pipe[1], &n, sizeof(n));
    if (r != sizeof(n))
        problem("write to a pipe", r);
    victim_sleep_ms(1);
}

static void reader(void)
{
    static _Thread_local unsigned expected;
    unsigned n = 0;
    ssize_t r = read(work_pipe[0], &n, sizeof(n));

    if (r != sizeof(n) || n != ++expected)
        problem("read of a pipe", r);
}

static void event_writer(void)
{
    uint64_t one = 1;
    ssize_t r = write(event, &one, sizeof(one));

    if (r != sizeof(one))
        problem("write to an eventfd", r);
    victim_sleep_ms(3);
}

static void event_reader(void)
{
    uint64_t n = 0;
    ssize_t r = read(event, &n, sizeof(n));

    if (r != sizeof(n) || n != 1) /* a semaphore */
        problem("read of an eventfd", r);
}

static void take_turns(unsigned mine)
{
    pthread_mutex_lock(&mutex);
    while (turn != mine)
        pthread_cond_wait(&condition, &mutex);
    turn = !mine;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
}

static void ping(void)
{
    take_turns(0);
    victim_sleep_ms(1);
}

static void pong(void)
{
    take_turns(1);
}

/* Runs with a value in many registers; sums what must stay the same. */
static void runner(void)
{
    double x = 1.0, y = 0.5, z = 0.25;
    unsigned long a = 1, b = 2, c = 3;

    for (int i = 0; i < 200000; i++) {
        x = x * 0.999 + y;
        y = y * 0.5 + z;
        z = z * 0.5 + 0.1;
        a = a * 6364136223846793005UL + 1442695040888963407UL;
        b ^= a >> 7;
        c += b;
    }
    static atomic_ulong known;
    unsigned long sum = a ^ b ^ c ^ (unsigned long)(x * 1e9) ^ (unsigned long)(z * 1e9), none = 0;
    if (!atomic_compare_exchange_strong(&known, &none, sum) && none != sum)
        problem("a computation in registers", (long)sum);
    victim_sleep_ms(2);
}

static void memory_keeper(void)
{
    static _Thread_local unsigned round;
    size_t at = (round++ * 40503u * 4096ul) % MEMORY_SIZE;

    for (size_t i = at; i < at + 4096; i++)
        if (memory[i] != (unsigned char)(i * 31 + (i >> 12)))
            problem("memory", (long)i);
    victim_sleep_ms(1);
}

struct worker {
    const char *name;
    void (*step)(void);
    atomic_ulong rounds;
    unsigned long seen;
    pthread_t thread;
};

static struct worker workers[] = {
    {"nanosleep", sleeper},
    {"clock_nanosleep", sleeper_absolute},
    {"poll", poller},
    {"epoll_wait", epoller},
    {"timerfd", timer_reader},
    {"sem_timedwait", semaphore_waiter},
    {"pipe writer", writer},
    {"pipe reader", reader},
    {"eventfd writer", event_writer},
    {"eventfd reader", event_reader},
    {"ping", ping},
    {"pong", pong},
    {"computation", runner},
    {"memory", memory_keeper},
};
#define N_WORKERS (sizeof(workers) / sizeof(workers[0]))

static void *work(void *arg)
{
    struct worker *w = arg;
    sigset_t mine, now;

    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR1 + (int)((size_t)(w - workers) % 2) * (SIGUSR2 - SIGUSR1));
    sigaddset(&mine, SIGRTMIN + (int)(w - workers));
    pthread_sigmask(SIG_SETMASK, &mine, NULL);
    for (;;) {
        w->step();
        atomic_fetch_add(&w->rounds, 1);
        pthread_sigmask(SIG_SETMASK, NULL, &now);
        if (memcmp(&mine, &now, 8) != 0)
            problem("the signal mask changed", w - workers);
    }
    return NULL;
}

static void handler(int signal)
{
    problem("a signal came", signal);
}

static bool all_advanced(void)
{
    for (size_t i = 0; i < N_WORKERS; i++)
        if (atomic_load(&workers[i].rounds) <= workers[i].seen)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    MUST(pipe2(idle_pipe, O_CLOEXEC) == 0 && pipe2(work_pipe, O_CLOEXEC) == 0);
    MUST((event = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC)) >= 0);
    MUST(sem_init(&never_posted, 0, 0) == 0);
    memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(memory != MAP_FAILED);
    for (size_t i = 0; i < MEMORY_SIZE; i++)
        memory[i] = (unsigned char)(i * 31 + (i >> 12));
    for (int s = 1; s <= 31; s++) {
        struct sigaction a = {.sa_handler = s % 3 ? handler : SIG_IGN};
        if (s != SIGKILL && s != SIGSTOP && s != SIGSEGV)
            MUST(sigaction(s, &a, NULL) == 0);
    }
    for (size_t i = 0; i < N_WORKERS; i++)
        MUST(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    while (!all_advanced())
        victim_sleep_ms(5);
    victim_ready();

    while (victim_wait()) {
        for (size_t i = 0; i < N_WORKERS; i++)
            workers[i].seen = atomic_load(&workers[i].rounds);
        for (int ms = 0; ms < 10000 && !all_advanced(); ms += 5)
            victim_sleep_ms(5);
        for (size_t i = 0; i < N_WORKERS; i++)
            if (atomic_load(&workers[i].rounds) <= workers[i].seen)
                victim_fail("the thread \"%s\" makes no progress", workers[i].name);
        if (atomic_load(&problems))
            victim_fail("%u times something was noticed, first: %s", atomic_load(&problems),
                        first_problem);
    }
    return 0;
}
