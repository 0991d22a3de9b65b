/* itimers.c - interval timers: real, virtual and profiling time go on with what was left */
#include <signal.h>
#include <sys/time.h>
#include "victim.h"

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    alarms++;
}

static long left_ms(int which)
{
    struct itimerval value;

    CHECK(getitimer(which, &value) == 0);
    return value.it_value.tv_sec * 1000 + value.it_value.tv_usec / 1000;
}

static long interval_ms(int which)
{
    struct itimerval value;

    CHECK(getitimer(which, &value) == 0);
    return value.it_interval.tv_sec * 1000 + value.it_interval.tv_usec / 1000;
}

static void set(int which, long ms, long every_ms)
{
    const struct itimerval value = {{every_ms / 1000, every_ms % 1000 * 1000},
                                    {ms / 1000, ms % 1000 * 1000}};

    MUST(setitimer(which, &value, NULL) == 0);
}

static void check_running(void)
{
    long real = left_ms(ITIMER_REAL), virtual = left_ms(ITIMER_VIRTUAL),
         profiling = left_ms(ITIMER_PROF);

    if (real < 800000 || real > 1000000)
        victim_fail("real: %ld ms left", real);
    if (virtual < 1800000 || virtual > 2000010)
        victim_fail("virtual: %ld ms left", virtual);
    if (profiling < 2800000 || profiling > 3000010)
        victim_fail("profiling: %ld ms left", profiling);
    CHECK_EQ(interval_ms(ITIMER_REAL), 7000);
    CHECK_EQ(interval_ms(ITIMER_VIRTUAL), 8000);
    CHECK_EQ(interval_ms(ITIMER_PROF), 0);
}

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* An interval timer that expired while its signal is blocked stands still until it is taken. */
static void expire_blocked(sigset_t *alarm)
{
    MUST(sigprocmask(SIG_BLOCK, alarm, NULL) == 0);
    alarms = 0;
    set(ITIMER_REAL, 1, 20);
    victim_sleep_ms(50);
}

static void check_expired(const sigset_t *alarm)
{
    CHECK_EQ(alarms, 0);
    CHECK(sigprocmask(SIG_UNBLOCK, alarm, NULL) == 0);
    CHECK_EQ(alarms, 1);
    long start = now_ms();
    victim_sleep_ms(200);
    long waited = now_ms() - start;
    if (alarms < 5 || alarms > waited / 20 + 2)
        victim_fail("%d alarms in %ld ms, one in 20 ms expected", (int)alarms, waited);
}

int main(int argc, char **argv)
{
    sigset_t alarm;

    victim_init(argc, argv);
    MUST(signal(SIGALRM, on_alarm) != SIG_ERR);
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    set(ITIMER_REAL, 1000000, 7000);
    set(ITIMER_VIRTUAL, 2000000, 8000);
    set(ITIMER_PROF, 3000000, 0);
    victim_ready();
    while (victim_wait()) {
        if (victim_round % 2) {
            check_running();
            expire_blocked(&alarm);
        } else {
            check_expired(&alarm);
            set(ITIMER_REAL, 1000000, 7000);
        }
    }
    return 0;
}
