/*
 * inside.h - ask something from inside a namespace that the program has for its own
 *
 * What the kernel tells of IPC objects and sockets is of the asker's own namespaces. A child of
 * ours enters those of the program for a moment: as the user who made them it has the right to.
 */
#ifndef KOBJ_INSIDE_H
#define KOBJ_INSIDE_H

#include "kobj/kobj.h"

#define INSIDE_ROOM 256

/*
 * Run ask() in a child, in the namespace "ipc" or "net" of the process. `data` (at most INSIDE_ROOM
 * bytes) comes back as ask() left it, and the descriptor that it gives; ret_fd NULL: it gives none.
 * Returns what ask() returned.
 */
int kobj_inside(const struct tracee *t, const char *name,
                int (*ask)(void *data, int *ret_fd, struct crs_error *err), void *data, size_t size,
                int *ret_fd, struct crs_error *err);

#endif
