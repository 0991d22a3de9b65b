/*
 * victim_outside.h - for victims that have something to do with a process that isn't theirs
 *
 * outside_start() makes a process that is no descendant of the caller, in a session of its own, and
 * returns when that has called outside_held(). It lives as long as the test:
 *
 *     static void hold(void *arg)
 *     {
 *         int slave = open(arg, O_RDWR | O_NOCTTY);
 *         outside_held();
 *         while (outside_stays())
 *             ;
 *     }
 */
#ifndef VICTIM_OUTSIDE_H
#define VICTIM_OUTSIDE_H

#include <sys/wait.h>
#include "victim.h"

static inline void outside_held(void)
{
    char path[5000];

    victim_path(path, sizeof(path), "held");
    MUST(close(open(path, O_WRONLY | O_CREAT, 0600)) == 0);
}

/* After a moment; false when the test is over. */
static inline bool outside_stays(void)
{
    char path[5000];

    victim_sleep_ms(5);
    victim_path(path, sizeof(path), "stop");
    return access(path, F_OK) < 0 && access(victim_dir, F_OK) == 0;
}

static inline void outside_start(void (*hold)(void *arg), void *arg)
{
    char path[5000];
    pid_t pid = fork();

    MUST(pid >= 0);
    if (pid == 0) {
        if (fork() == 0 && setsid() > 0)
            hold(arg);
        _exit(0);
    }
    MUST(waitpid(pid, NULL, 0) == pid);
    victim_path(path, sizeof(path), "held");
    while (access(path, F_OK) < 0)
        victim_sleep_ms(5);
}

#endif
