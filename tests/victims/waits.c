/*
 * waits.c - threads in every call that waits with a timeout: none sees EINTR, none ends early, none
 * waits longer than what was left
 *
 * link: -lpthread -lrt
 * increments: no
 */
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <linux/futex.h>

#include "victim.h"

#define TIMEOUT_MS   1500
#define TOLERANCE_MS 900

static atomic_llong lost_ms; /* time in which nobody ran: the pause, and between end and restart */
static atomic_int beats;
static atomic_int waits_done;
static pthread_mutex_t words_lock = PTHREAD_MUTEX_INITIALIZER;
static char words[2048];

static long long now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void *beat(void *arg)
{
    for (long long last = now_ms();;) {
        victim_sleep_ms(5);
        long long now = now_ms();
        if (now - last > 40)
            atomic_fetch_add(&lost_ms, now - last);
        last = now;
        atomic_fetch_add(&beats, 1);
    }
    return arg;
}

static struct timespec in_ms(clockid_t clock, int ms)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    ts.tv_nsec += (ms % 1000) * 1000000L;
    ts.tv_sec += ms / 1000 + ts.tv_nsec / 1000000000;
    ts.tv_nsec %= 1000000000;
    return ts;
}

static struct timespec ms_timespec(int ms)
{
    return (struct timespec){ms / 1000, (ms % 1000) * 1000000L};
}

/* Each returns 0 when the timeout ended it, as it must, and an errno value otherwise. */

static int wait_nanosleep(int ms)
{
    struct timespec ts = ms_timespec(ms);
    return nanosleep(&ts, NULL) == 0 ? 0 : errno;
}

static int wait_nanosleep_rest(int ms)
{
    struct timespec ts = ms_timespec(ms), rest;
    return nanosleep(&ts, &rest) == 0 ? 0 : errno;
}

static int wait_clock_relative(int ms)
{
    struct timespec ts = ms_timespec(ms);
    return clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

static int wait_clock_absolute(int ms)
{
    struct timespec ts = in_ms(CLOCK_MONOTONIC, ms);
    return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static int wait_poll(int ms)
{
    return poll(NULL, 0, ms) == 0 ? 0 : errno;
}

static int wait_ppoll(int ms)
{
    struct timespec ts = ms_timespec(ms);
    sigset_t none;

    sigemptyset(&none);
    return ppoll(NULL, 0, &ts, &none) == 0 ? 0 : errno;
}

static int wait_select(int ms)
{
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    return select(0, NULL, NULL, NULL, &tv) == 0 ? 0 : errno;
}

static int wait_pselect(int ms)
{
    struct timespec ts = ms_timespec(ms);
    return pselect(0, NULL, NULL, NULL, &ts, NULL) == 0 ? 0 : errno;
}

static int epoll_fd;

static int wait_epoll(int ms)
{
    struct epoll_event event;
    return epoll_wait(epoll_fd, &event, 1, ms) == 0 ? 0 : errno;
}

static int wait_epoll_pwait2(int ms)
{
    struct epoll_event event;
    struct timespec ts = ms_timespec(ms);
    return syscall(SYS_epoll_pwait2, epoll_fd, &event, 1, &ts, NULL, 8) == 0 ? 0 : errno;
}

static int wait_futex(int ms)
{
    struct timespec ts = ms_timespec(ms);
    int word = 1;

    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, &ts, NULL, 0);
    return errno == ETIMEDOUT ? 0 : errno;
}

static int wait_sem(int ms)
{
    struct timespec ts = in_ms(CLOCK_MONOTONIC, ms);
    sem_t sem;

    sem_init(&sem, 0, 0);
    sem_clockwait(&sem, CLOCK_MONOTONIC, &ts);
    return errno == ETIMEDOUT ? 0 : errno;
}

static int wait_condition(int ms)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    struct timespec ts = in_ms(CLOCK_MONOTONIC, ms);

    pthread_mutex_lock(&mutex);
    int r = pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &ts);
    pthread_mutex_unlock(&mutex);
    return r == ETIMEDOUT ? 0 : r;
}

static int wait_signal(int ms)
{
    struct timespec ts = ms_timespec(ms);
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigtimedwait(&set, NULL, &ts);
    return errno == EAGAIN ? 0 : errno;
}

static const struct wait_kind {
    const char *name;
    int (*wait)(int ms);
} kinds[] = {
    {"nanosleep", wait_nanosleep},
    {"nanosleep with a rest", wait_nanosleep_rest},
    {"clock_nanosleep", wait_clock_relative},
    {"clock_nanosleep, absolute", wait_clock_absolute},
    {"poll", wait_poll},
    {"ppoll", wait_ppoll},
    {"select", wait_select},
    {"pselect", wait_pselect},
    {"epoll_wait", wait_epoll},
    {"epoll_pwait2", wait_epoll_pwait2},
    {"futex", wait_futex},
    {"sem_clockwait", wait_sem},
    {"pthread_cond_clockwait", wait_condition},
    {"sigtimedwait", wait_signal},
};

static void complain(const char *name, const char *what, long long value)
{
    pthread_mutex_lock(&words_lock);
    size_t n = strlen(words);
    snprintf(words + n, sizeof(words) - n, "%s: %s %lld\n", name, what, value);
    pthread_mutex_unlock(&words_lock);
}

/* lost_ms, when all up to now is in it: the beat that may be under way is not enough. */
static long long lost_until_now(void)
{
    int enough = atomic_load(&beats) + 2;

    while (atomic_load(&beats) - enough < 0)
        victim_sleep_ms(5);
    return atomic_load(&lost_ms);
}

static void *run_kind(void *arg)
{
    const struct wait_kind *kind = arg;

    for (;;) {
        /* Not all at the same phase. */
        int timeout = TIMEOUT_MS + (int)(kind - kinds) * 37;
        long long lost = atomic_load(&lost_ms), start = now_ms();
        errno = 0;
        int r = kind->wait(timeout);
        long long took = now_ms() - start;
        long long gone = lost_until_now() - lost;
        if (r != 0)
            complain(kind->name, "ended with errno", r);
        /* On a machine that was started later, under new PIDs, the clock itself goes back. */
        bool clock_went_back = took < 0;
        if (took < timeout - 1 && !clock_went_back)
            complain(kind->name, "ended too early, after ms", took);
        if (took - gone > timeout + TOLERANCE_MS)
            complain(kind->name, "waited too long, ms", took - gone);
        atomic_fetch_add(&waits_done, 1);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    sigset_t set;

    victim_init(argc, argv);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    MUST((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) >= 0);
    MUST(pthread_create(&thread, NULL, beat, NULL) == 0);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        MUST(pthread_create(&thread, NULL, run_kind, (void *)&kinds[i]) == 0);
    victim_sleep_ms(700);
    victim_ready();
    while (victim_wait()) {
        int before = atomic_load(&waits_done);
        /* Every wait that the checkpoint met has ended, and another one. */
        for (int i = 0; i < 1000 && atomic_load(&waits_done) < before + 28; i++)
            victim_sleep_ms(10);
        CHECK(atomic_load(&waits_done) >= before + 28);
        pthread_mutex_lock(&words_lock);
        if (words[0])
            victim_fail("%s", words);
        words[0] = 0;
        pthread_mutex_unlock(&words_lock);
    }
    return 0;
}
