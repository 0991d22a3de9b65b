/*
 * posix_timers.c - POSIX timers: IDs with gaps, clocks, notification of process and thread, values,
 * the time left, overruns while the signal waits
 * link: -pthread
 */
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include "victim.h"

#define N_TIMERS 8

struct kernel_timer {
    int id;
    clockid_t clock;
    int notify, number;
    long ms, every_ms;
};

static struct kernel_timer timers[N_TIMERS];
static sigset_t real_time;

/* The kernel's own call: the IDs are what this is about. */
static int create(clockid_t clock, int notify, int number, int value, pid_t thread)
{
    struct sigevent event = {.sigev_notify = notify, .sigev_signo = number};
    int id = -1;

    event.sigev_value.sival_int = value;
    if (notify & SIGEV_THREAD_ID)
        event._sigev_un._tid = thread;
    MUST(syscall(SYS_timer_create, clock, &event, &id) == 0);
    return id;
}

static void start(int id, long ms, long every_ms)
{
    const struct itimerspec spec = {{every_ms / 1000, every_ms % 1000 * 1000000},
                                    {ms / 1000, ms % 1000 * 1000000}};

    MUST(syscall(SYS_timer_settime, id, 0, &spec, NULL) == 0);
}

static void add(struct kernel_timer *t, clockid_t clock, int notify, int number, long ms,
                long every_ms)
{
    *t = (struct kernel_timer){0, clock, notify, number, ms, every_ms};
    t->id = create(clock, notify, number, 700 + number, syscall(SYS_gettid));
    if (ms)
        start(t->id, ms, every_ms);
}

static void set_up(void)
{
    int gap[10];

    add(&timers[0], CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 1, 1000000, 0);
    for (int i = 0; i < 10; i++)
        gap[i] = create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0);
    add(&timers[1], CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN + 2, 2000000, 3000);
    for (int i = 0; i < 10; i++)
        MUST(syscall(SYS_timer_delete, gap[i]) == 0);
    add(&timers[2], CLOCK_BOOTTIME, SIGEV_NONE, 0, 3000000, 0);
    add(&timers[3], CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 3, 4000000, 5000);
    add(&timers[4], CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN + 4, 5000000, 0);
    add(&timers[5], CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 5, 0, 0);
    add(&timers[6], CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 6, 10, 10);    /* always pending */
    add(&timers[7], CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 7, 100, 0); /* expired */
}

static void check_left(const struct kernel_timer *t)
{
    struct itimerspec spec;

    CHECK(syscall(SYS_timer_gettime, t->id, &spec) == 0);
    long left = spec.it_value.tv_sec * 1000 + spec.it_value.tv_nsec / 1000000;
    long every = spec.it_interval.tv_sec * 1000 + spec.it_interval.tv_nsec / 1000000;
    if (left > t->ms + 10 || left < t->ms - 200000 || (t->ms && left == 0))
        victim_fail("timer %d: %ld of %ld ms left", t->id, left, t->ms);
    if (every != t->every_ms)
        victim_fail("timer %d: interval %ld ms, expected %ld", t->id, every, t->every_ms);
}

static int take(int number, siginfo_t *info)
{
    const struct timespec none = {0, 0};
    sigset_t one;

    sigemptyset(&one);
    sigaddset(&one, number);
    memset(info, 0, sizeof(*info));
    return sigtimedwait(&one, info, &none);
}

/* A periodic timer whose signal nobody takes: one signal, and a count of those that were lost. */
static void check_overrun(const struct kernel_timer *t)
{
    siginfo_t info;

    victim_sleep_ms(100);
    CHECK_EQ(take(t->number, &info), t->number);
    CHECK_EQ(info.si_code, SI_TIMER);
    CHECK_EQ(info.si_timerid, t->id);
    CHECK_EQ(info.si_value.sival_int, 700 + t->number);
    if (info.si_overrun < 7)
        victim_fail("%d overruns in 100 ms", info.si_overrun);
    CHECK_EQ(take(t->number, &info), -1);
    victim_sleep_ms(25);
}

static void check_expired(const struct kernel_timer *t)
{
    siginfo_t info;

    CHECK_EQ(take(t->number, &info), t->number);
    CHECK_EQ(info.si_code, SI_TIMER);
    CHECK_EQ(info.si_timerid, t->id);
    CHECK_EQ(take(t->number, &info), -1);
    start(t->id, 1, 0);
    victim_sleep_ms(5);
}

static void check_target(const struct kernel_timer *t)
{
    siginfo_t info;

    start(t->id, 1, 5000);
    victim_sleep_ms(20);
    CHECK_EQ(take(t->number, &info), t->number);
    CHECK_EQ(info.si_value.sival_int, 700 + t->number);
    start(t->id, t->ms, t->every_ms);
}

/* Timers that were not there must not be there now. */
static void check_count(void)
{
    char text[65536];
    int count = 0, fd = open("/proc/self/timers", O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text) - 1);

    close(fd);
    text[n > 0 ? n : 0] = 0;
    for (const char *p = text; (p = strstr(p, "ID: ")); p += 4)
        count += p == text || p[-1] == '\n';
    CHECK_EQ(count, N_TIMERS);
}

static void *idle(void *arg)
{
    for (;;)
        pause();
    return arg;
}

int main(int argc, char **argv)
{
    pthread_t other;

    victim_init(argc, argv);
    sigemptyset(&real_time);
    for (int i = SIGRTMIN; i <= SIGRTMAX; i++)
        sigaddset(&real_time, i);
    MUST(sigprocmask(SIG_BLOCK, &real_time, NULL) == 0);
    MUST(pthread_create(&other, NULL, idle, NULL) == 0);
    set_up();
    victim_sleep_ms(150);
    victim_ready();
    while (victim_wait()) {
        check_count();
        for (int i = 0; i < 6; i++)
            check_left(&timers[i]);
        check_overrun(&timers[6]);
        check_expired(&timers[7]);
        check_target(&timers[3]);
    }
    return 0;
}
