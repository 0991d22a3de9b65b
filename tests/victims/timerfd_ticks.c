/*
 * timerfd_ticks.c - expirations that nobody has read yet
 */
#include <sys/timerfd.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct itimerspec once = {.it_value = {0, 1000000}};
    struct itimerspec often = {.it_value = {0, 1000000}, .it_interval = {0, 1000000}};
    uint64_t ticks;

    victim_init(argc, argv);
    int one = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    int many = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    MUST(one >= 0 && many >= 0 && timerfd_settime(one, 0, &once, NULL) == 0);
    MUST(timerfd_settime(many, 0, &often, NULL) == 0);
    victim_sleep_ms(100);

    victim_ready();
    while (victim_wait()) {
        ticks = 0;
        CHECK(read(one, &ticks, 8) == 8 && ticks == 1);
        errno = 0;
        CHECK(read(one, &ticks, 8) < 0 && errno == EAGAIN);
        MUST(timerfd_settime(one, 0, &once, NULL) == 0);
        CHECK(read(many, &ticks, 8) == 8 && ticks >= 90);
        victim_sleep_ms(100);
    }
    return 0;
}
