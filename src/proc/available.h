/*
 * available.h - how much memory a process may still get
 */
#ifndef PROC_AVAILABLE_H
#define PROC_AVAILABLE_H

#include <stdint.h>
#include <sys/types.h>

/* The bytes of "MemAvailable:    12 kB" (or another field) in the text of /proc/meminfo; 0: there's
 * no such field. */
uint64_t proc_meminfo_bytes(const char *text, const char *field);

/* The path of the control group that counts memory, in the text of /proc/PID/cgroup, and whether it
 * is of the old kind (version 1); to be freed. NULL: there is none. */
char *proc_memory_group(const char *text, int *ret_version);

/* What the machine, and the process's control groups, have left; and what the machine has. -errno:
 * can't be told. */
int proc_available(pid_t pid, uint64_t *ret_available, uint64_t *ret_total);

#endif
