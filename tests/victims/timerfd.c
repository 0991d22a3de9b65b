/*
 * timerfd.c - timers of each clock: the time left, the interval, absolute times, unarmed ones
 */
#include <sys/timerfd.h>
#include "victim.h"

#define NS 1000000000LL

static const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};

static long long left(int fd, long long *ret_interval)
{
    struct itimerspec its = {0};

    CHECK_EQ(timerfd_gettime(fd, &its), 0);
    *ret_interval = its.it_interval.tv_sec * NS + its.it_interval.tv_nsec;
    return its.it_value.tv_sec * NS + its.it_value.tv_nsec;
}

int main(int argc, char **argv)
{
    int relative[3], absolute[3], unarmed;
    struct itimerspec its = {.it_interval = {7, 5}, .it_value = {5000, 0}};
    struct timespec now;
    long long interval, before[3];

    victim_init(argc, argv);
    for (int i = 0; i < 3; i++) {
        relative[i] = timerfd_create(clocks[i], TFD_NONBLOCK);
        MUST(relative[i] >= 0 && timerfd_settime(relative[i], 0, &its, NULL) == 0);
        before[i] = 5000 * NS;
        clock_gettime(clocks[i], &now);
        now.tv_sec += 6000;
        absolute[i] = timerfd_create(clocks[i], TFD_CLOEXEC);
        MUST(absolute[i] >= 0 && timerfd_settime(absolute[i], TFD_TIMER_ABSTIME,
                                                 &(struct itimerspec){.it_value = now}, NULL) == 0);
    }
    unarmed = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    MUST(unarmed >= 0);

    victim_ready();
    while (victim_wait()) {
        for (int i = 0; i < 3; i++) {
            long long n = left(relative[i], &interval);
            CHECK(n > 4900 * NS && n <= before[i]);
            CHECK_EQ(interval, 7 * NS + 5);
            before[i] = n;
            n = left(absolute[i], &interval);
            /* the wall clock also goes on while there is only a snapshot */
            CHECK(n > (clocks[i] == CLOCK_REALTIME ? 5000 : 5900) * NS && n <= 6000 * NS);
            CHECK_EQ(interval, 0);
            CHECK(fcntl(relative[i], F_GETFL) & O_NONBLOCK);
            CHECK_EQ(fcntl(absolute[i], F_GETFD), FD_CLOEXEC);
        }
        CHECK_EQ(left(unarmed, &interval), 0);
        /* it still works as a timer */
        uint64_t ticks = 0;
        MUST(timerfd_settime(unarmed, 0, &(struct itimerspec){.it_value = {0, 1000000}}, NULL) ==
             0);
        victim_sleep_ms(20);
        CHECK(read(unarmed, &ticks, 8) == 8 && ticks == 1);
    }
    return 0;
}
