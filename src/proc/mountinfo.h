/*
 * mountinfo.h - a line of /proc/PID/mountinfo
 */
#ifndef PROC_MOUNTINFO_H
#define PROC_MOUNTINFO_H

#include <stdbool.h>
#include <sys/types.h>

struct proc_mount {
    unsigned id;
    dev_t device;
    char root[4096], path[4096]; /* of the file system that is mounted; where */
};

/* "22 28 0:21 / /proc rw,nosuid - ...", up to its end or a line feed; blanks in paths are \040.
 * False: it is none. */
bool proc_mount_parse(const char *line, struct proc_mount *ret);

#endif
