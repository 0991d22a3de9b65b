/*
 * namespaces.h - the namespaces that a program has for its own
 *
 * A job may be isolated (crs run --isolate), and a snapshot says in which namespaces of its own the
 * program lived, so that a restart makes the same ones. They are held by a supervisor, PID 1 of the
 * program's PID namespace (supervisor.h); a PID namespace needs a /proc, and so mounts of its own.
 */
#ifndef ENGINE_NAMESPACES_H
#define ENGINE_NAMESPACES_H

#include "base/error.h"
#include "process.pb-c.h"

enum {
    NAMESPACE_PID = 1 << 0,
    NAMESPACE_MOUNT = 1 << 1,
    NAMESPACE_IPC = 1 << 2,
    NAMESPACE_NET = 1 << 3,
    NAMESPACE_TIME = 1 << 4,
};

/* The names, in the order of the bits. */
#define NAMESPACES "pid mount ipc net time"

/* For clone3(2). Time namespaces are entered by namespaces_set_up() or clocks_enter(). */
uint64_t namespaces_clone_flags(unsigned namespaces);

/* In the first process of the new ones: its own mounts and /proc; with ipc a /dev/mqueue, with net
 * the loopback device. CRS_NOT_PERMITTED in words. */
int namespaces_set_up(unsigned namespaces, struct crs_error *err);

/* Those in which the process behind /proc/PID (open) lives apart from us. A network with other
 * devices than the loopback can't be made again, and doesn't count. */
unsigned namespaces_apart(int proc_fd);

/* To and from the record. CRS_CANT_RESTART: one that is not known here. */
int namespaces_record(unsigned namespaces, Crs__Tree *tree, struct crs_error *err);
int namespaces_recorded(const Crs__Tree *tree, unsigned *ret, struct crs_error *err);

#endif
