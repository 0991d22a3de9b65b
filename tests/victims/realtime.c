/*
 * realtime.c - real-time scheduling, which needs privilege
 * situations: -user
 */
#include <sched.h>
#include "victim.h"

int main(int argc, char **argv)
{
    const struct sched_param priority = {.sched_priority = 7};
    struct sched_param now;

    victim_init(argc, argv);
    MUST(sched_setscheduler(0, SCHED_RR, &priority) == 0);
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(sched_getscheduler(0), SCHED_RR);
        CHECK(sched_getparam(0, &now) == 0);
        CHECK_EQ(now.sched_priority, 7);
    }
    return 0;
}
