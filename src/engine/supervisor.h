/*
 * supervisor.h - PID 1 of a restarted program's own namespace
 *
 * The program keeps its PIDs in a new user, PID, mount and time namespace (no privilege needed
 * where user namespaces are allowed). Its first process, the supervisor, has all capabilities in
 * it, which the program doesn't get; it rebuilds the program, reaps what is orphaned, passes
 * signals on, and reports how the program ended.
 */
#ifndef ENGINE_SUPERVISOR_H
#define ENGINE_SUPERVISOR_H

#include "engine/rebuild.h"

/*
 * Start a supervisor that rebuilds the program. -EPERM, -ENOSPC, -EINVAL with kind
 * CRS_NOT_PERMITTED: such namespaces can't be made here, nothing was started.
 */
int supervisor_start(const struct rebuild *rebuild, struct crs_restarted *ret,
                     struct crs_error *err);

/* The next status of the program from status_fd; see crs_restart_wait(). */
int supervisor_wait(struct crs_restarted *restarted, int wait_flags, int *ret_status,
                    struct crs_error *err);

#endif
