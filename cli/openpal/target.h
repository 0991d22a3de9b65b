/*
 * target.h - a process that is to be asked for a checkpoint
 */
#ifndef CLI_OPENPAL_TARGET_H
#define CLI_OPENPAL_TARGET_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/array.h"
#include "base/error.h"
#include "openpal/runtime/place.h"

struct target {
    pid_t pid;
    pid_t own_pid; /* its number in its own PID namespace */
    int pidfd;
    uid_t uid;                  /* the effective one */
    struct bytes environ_block; /* NAME=VALUE and a zero byte, each; may be empty */
};

#define TARGET_INIT                                                                                \
    {                                                                                              \
        .pidfd = -1                                                                                \
    }

/* It exists, runs, and may be asked by the caller; or words why not. */
int target_open(pid_t pid, struct target *ret, struct crs_error *err);
void target_close(struct target *target);
#define _cleanup_target_ __attribute__((cleanup(target_close)))

/* 0; or words, where it doesn't run now: stopped by a signal or a debugger, or frozen. */
int target_check_runs(const struct target *target, struct crs_error *err);

/* 'R', 'S', 'D', 'T', 't', 'Z' ...; 0: it is gone. */
char target_state(const struct target *target);

/* It has begun to end: nothing keeps it from that. */
bool target_is_ending(const struct target *target);

/* Where it listens: a connection to it, *ret_conn; or *ret_busy: it will listen there again. In
 * both cases the place; -ENOENT: it is nowhere to be asked. */
int target_find(const struct target *target, const char *tmp_dir, struct place *ret_place,
                int *ret_conn, bool *ret_busy, struct crs_error *err);

#endif
