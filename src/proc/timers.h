/*
 * timers.h - /proc/PID/timers: the POSIX timers of a process; text in, struct out
 */
#ifndef PROC_TIMERS_H
#define PROC_TIMERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_timer {
    uint32_t id;
    int signal;
    uint64_t value; /* sigev_value */
    int notify;     /* SIGEV_*, with SIGEV_THREAD_ID where `target` is a thread */
    pid_t target;   /* process or thread ID as the reader sees it; 0: gone */
    int clock;
};

/* *ret is allocated by malloc(); NULL when there is no timer. 0, -EINVAL, -ENOMEM. */
int proc_timers_parse(const char *text, struct proc_timer **ret, size_t *ret_n);

#endif
