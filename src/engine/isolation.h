/*
 * isolation.h - a command in namespaces of its own, from its start
 *
 * Without privilege, where user namespaces are allowed: its PIDs, its IPC objects and its
 * connections over the loopback device are nobody else's, so that they can always be restored.
 */
#ifndef ENGINE_ISOLATION_H
#define ENGINE_ISOLATION_H

#include "engine/namespaces.h"
#include "engine/supervisor.h"

/* What crs run --isolate is without a list. Not the network: the program may need more of it. */
#define ISOLATION_USUAL (NAMESPACE_PID | NAMESPACE_MOUNT | NAMESPACE_IPC | NAMESPACE_TIME)

/*
 * Fork a process that calls run(arg), as the child of a supervisor (supervisor.h) in such
 * namespaces; pid and mount are always among them. run() is called with the caller's descriptors,
 * signal mask blocked and dispositions. *ret is for crs_restart_wait(). CRS_NOT_PERMITTED: that
 * can't be had here, nothing was started.
 */
int isolation_start(unsigned namespaces, void (*run)(const void *arg), const void *arg,
                    struct crs_restarted *ret, struct crs_error *err);

#endif
