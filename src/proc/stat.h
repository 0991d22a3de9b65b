/*
 * stat.h - /proc/PID/stat and /proc/PID/task/TID/stat: text in, struct out
 */
#ifndef PROC_STAT_H
#define PROC_STAT_H

#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
    pid_t pid;
    char command[64]; /* may hold any byte, also ')' and newlines */
    char state;
    pid_t parent, group, session;
    int terminal;           /* device number; 0: none */
    pid_t foreground_group; /* of the terminal; -1: none */
    uint64_t flags;         /* PF_* of the kernel */
    uint64_t minor_faults, major_faults;
    uint64_t utime, stime; /* clock ticks */
    long priority, nice;   /* as the kernel counts them */
    unsigned threads;
    uint64_t start_time; /* clock ticks since boot */
    int exit_signal;
    int processor; /* it ran on last */
    unsigned rt_priority, policy;
};

/* 0, or -EINVAL when the text isn't of that file. */
int proc_stat_parse(const char *text, struct proc_stat *ret);

#endif
