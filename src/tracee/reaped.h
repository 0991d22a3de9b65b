/*
 * reaped.h - the ends of processes that the tracer saw before their parent
 *
 * Where the thread that traces belongs to the process's parent, its wait for a tracee that ends
 * takes the exit status away from the parent's own wait. tracee_wait() notes it here, for a parent
 * whose wait fails with ECHILD.
 */
#ifndef TRACEE_REAPED_H
#define TRACEE_REAPED_H

#include <stdbool.h>
#include <sys/types.h>

void tracee_note_end(pid_t pid, int status);

/* The status of the last end noted for `pid`, once. Any thread may call it. */
bool tracee_reaped(pid_t pid, int *ret_status);

#endif
