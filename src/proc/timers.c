/* timers.c - /proc/PID/timers: text in, struct out */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timers.h"

static const struct {
    const char *word;
    int notify;
} notifications[] = {{"signal", SIGEV_SIGNAL}, {"none", SIGEV_NONE}, {"thread", SIGEV_THREAD}};

/* "signal/tid.123" */
static int parse_notify(const char *value, struct proc_timer *timer)
{
    char how[16], whom[8];

    if (sscanf(value, "%15[a-z]/%7[a-z].%d", how, whom, &timer->target) != 3)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(notifications) / sizeof(notifications[0]); i++) {
        if (strcmp(how, notifications[i].word) != 0)
            continue;
        timer->notify = notifications[i].notify;
        if (strcmp(whom, "tid") == 0)
            timer->notify |= SIGEV_THREAD_ID;
        return 0;
    }
    return -EINVAL;
}

/* The four lines of one timer; returns where the next one starts, NULL when it isn't one. */
static const char *parse_timer(const char *text, struct proc_timer *ret)
{
    struct proc_timer t = {0};
    char notify[64];
    int n = 0;

    if (sscanf(text, "ID: %" SCNu32 " signal: %d/%" SCNx64 " notify: %63s ClockID: %d%n", &t.id,
               &t.signal, &t.value, notify, &t.clock, &n) != 5 ||
        n == 0 || parse_notify(notify, &t) < 0)
        return NULL;
    *ret = t;
    text += n;
    return text + strspn(text, " \n");
}

int proc_timers_parse(const char *text, struct proc_timer **ret, size_t *ret_n)
{
    struct proc_timer *timers = NULL;
    size_t n = 0;

    while (*text) {
        struct proc_timer *more = reallocarray(timers, n + 1, sizeof(*more));
        if (!more) {
            free(timers);
            return -ENOMEM;
        }
        timers = more;
        text = parse_timer(text, &timers[n]);
        if (!text) {
            free(timers);
            return -EINVAL;
        }
        n++;
    }
    *ret = timers;
    *ret_n = n;
    return 0;
}
