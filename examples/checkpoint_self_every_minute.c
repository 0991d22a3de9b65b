/*
 * checkpoint_self_every_minute.c - a program that sees to its own snapshots
 *
 * test: {bin} 0.5
 *
 * It forks before it begins to work: the child computes, the parent checkpoints it every minute
 * with the library, and ends as the child ends. No root, no change to what computes. After a crash
 * the work is taken up by `crs restart sum`.
 *
 *     checkpoint_self_every_minute [SECONDS]
 */
#include "crs.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int compute(void)
{
    double sum = 0;

    for (unsigned long i = 1; i <= 1200000000; i++)
        sum += 1.0 / ((double)i * (double)i);
    printf("sum %.6f\n", sum);
    return sum > 1.644933 && sum < 1.644935 ? 0 : 1;
}

/* 1: the child ended within the time, and *status is set. */
static int wait_or_time_out(pid_t child, double seconds, int *status)
{
    struct timespec pause = {0, 20000000};

    for (double waited = 0; waited < seconds; waited += 0.02) {
        if (waitpid(child, status, WNOHANG) == child)
            return 1;
        nanosleep(&pause, NULL);
    }
    return 0;
}

int main(int argc, char **argv)
{
    double interval_s = argc > 1 ? atof(argv[1]) : 60;
    struct crs_checkpoint_options options = CRS_CHECKPOINT_OPTIONS_INIT;
    int status = 0;

    options.name = "sum";
    pid_t child = fork();
    if (child == 0)
        exit(compute());
    while (!wait_or_time_out(child, interval_s, &status)) {
        struct crs_checkpoint_result result;
        struct crs_error err;
        if (crs_checkpoint(child, &options, &result, &err) < 0) {
            fprintf(stderr, "no checkpoint: %s\n", err.text);
            continue;
        }
        printf("saved as %s, %.1f ms of pause\n", result.name, (double)result.pause_us / 1000);
        crs_checkpoint_result_clear(&result);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
