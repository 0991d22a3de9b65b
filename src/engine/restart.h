/*
 * restart.h - a restart, with what only other parts of this project ask for
 */
#ifndef ENGINE_RESTART_H
#define ENGINE_RESTART_H

#include "engine/rebuild.h"

struct restart_extras {
    /* As of struct rebuild. With --pids=namespace it is called in the supervisor, a copy of the
     * caller, which has other PIDs than the caller sees. */
    rebuild_held_fn held;
    void *held_arg;
    pid_t restarter;
    bool gives_own;
    bool inside_where_needed; /* a program that needs its namespaces gets them, whatever the policy
                               */
    bool own_clocks; /* its clocks are the caller's, so that both can be saved together; deadlines
                        are moved, but a clock that the program has read has gone on */
};

/* As crs_restart(). extras NULL: none. */
int restart_run(const char *path, const struct crs_restart_options *options,
                const struct restart_extras *extras, struct crs_restarted *ret,
                struct crs_error *err);

/* Can a process of the caller's get any PID here, and not only one in a namespace of its own? */
bool restart_may_choose_pids(void);

#endif
