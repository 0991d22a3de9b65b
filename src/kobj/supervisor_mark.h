/*
 * supervisor_mark.h - by what the supervisor of a program's own namespaces is known
 *
 * A restart and `crs run --isolate` put a supervisor above the program, PID 1 of its namespaces.
 * The tool that checkpoints the program later must tell it from PID 1 of a container. A name (comm)
 * can be anybody's; so the supervisor holds a memfd of that name with words in it, which say which
 * of its children is the program. The program itself gets no descriptor of it.
 */
#ifndef KOBJ_SUPERVISOR_MARK_H
#define KOBJ_SUPERVISOR_MARK_H

#include <sys/types.h>

/* comm of the supervisor, and the name of its mark */
#define SUPERVISOR_NAME "crs-supervisor"

/* In the supervisor: a mark, close-on-exec, that says nothing of a program yet. -errno. */
int supervisor_mark_new(int *ret_fd);
/* Its program's PID as the supervisor sees it; 0: it has ended. -errno. */
int supervisor_mark_set(int fd, pid_t program);

struct supervisor_found {
    pid_t pid;     /* of the supervisor, as we see it */
    int proc_fd;   /* /proc/PID of it */
    pid_t program; /* as the supervisor sees it; 0: not started yet, or ended */
};

/* The supervisor in whose PID namespace `pid` lives. -ESRCH: it has none, or none that we may look
 * at (we are inside ourselves). proc_fd is the caller's. */
int supervisor_above(pid_t pid, struct supervisor_found *ret);

/* The same of `pid` itself. -ESRCH: it is none. */
int supervisor_at(pid_t pid, struct supervisor_found *ret);

#endif
