/*
 * spawn.h - processes that a held live process makes for the tool
 *
 * One that shares its memory, for a moment: while it is there the program stands still. It has no
 * descriptor (an empty table of its own), so that what it opens is nobody else's, and what the
 * program has open isn't held by it:
 *
 *     tracee_spawn(t, &child, err);
 *     REMOTE(tracee_main(child), &result, err, ...);   // no block of memory: scratch is t's
 *     tracee_spawn_end(t, child, err);
 *
 * One that goes on when the program does, and never runs an instruction of it: a copy of its memory
 * as it is now, or one that shares it. It is no child of the program, which sees nothing of it, and
 * is killed with the tool:
 *
 *     tracee_spawn_apart(t, true, &copy, err);
 *     ...
 *     tracee_end_apart(copy);
 *
 * No signal is sent to the program at their ends, and no process is left for it to wait for,
 * whenever the tool is killed.
 */
#ifndef TRACEE_SPAWN_H
#define TRACEE_SPAWN_H

#include "tracee/tracee.h"

/* -ENOTSUP: it is of a kind that makes none (a filter, shared memory, a leader that has exited, no
 * close_range(2): Linux 5.9). -EAGAIN, -ENOMEM: it may not have more processes, or more memory. */
int tracee_spawn(struct tracee *t, struct tracee **ret, struct crs_error *err);
int tracee_spawn_end(struct tracee *t, struct tracee *child, struct crs_error *err);

/* `copy`: with a copy of the memory, of what fork(2) copies; else with the memory itself. No calls
 * are made in it that need scratch memory. To be ended by the same thread. */
int tracee_spawn_apart(struct tracee *t, bool copy, struct tracee **ret, struct crs_error *err);
void tracee_end_apart(struct tracee *apart); /* NULL is nothing */

#endif
