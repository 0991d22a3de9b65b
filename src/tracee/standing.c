/* standing.c - why a thread doesn't come to its stop */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "tracee/task.h"

#define GROUPS_LIMIT (64 << 10)
#define PATH_LIMIT   4096

/* Where the files of a control group of that hierarchy are. "unified": version 2 beside others. */
static const struct {
    bool second; /* version 2 */
    const char *mount, *file, *frozen;
} places[] = {
    {true, "/sys/fs/cgroup", "cgroup.events", "\nfrozen 1\n"},
    {true, "/sys/fs/cgroup", "cgroup.freeze", "\n1\n"},
    {true, "/sys/fs/cgroup/unified", "cgroup.events", "\nfrozen 1\n"},
    {true, "/sys/fs/cgroup/unified", "cgroup.freeze", "\n1\n"},
    {false, "/sys/fs/cgroup/freezer", "freezer.state", "\nFROZEN\n"},
    {false, "/sys/fs/cgroup/freezer", "freezer.state", "\nFREEZING\n"},
};

static bool says(const char *mount, const char *group, const char *file, const char *words)
{
    _cleanup_free_ char *path = format_string("%s%s/%s", mount, group, file);
    _cleanup_bytes_ struct bytes text = {0};

    if (!path || read_file(AT_FDCWD, path, 4096, &text) < 0)
        return false;
    _cleanup_free_ char *lines = format_string("\n%s", (char *)text.data);
    return lines && strstr(lines, words);
}

/* A line of /proc/PID/cgroup: "0::/GROUP" (version 2), "6:freezer:/GROUP". */
static bool line_is_frozen(char *line, const char **ret_mount, const char **ret_file,
                           const char **ret_group)
{
    char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;

    if (!group)
        return false;
    *group++ = 0;
    names++;
    for (size_t i = 0; i < ELEMENTS(places); i++) {
        if (strcmp(names, places[i].second ? "" : "freezer") != 0 ||
            !says(places[i].mount, group, places[i].file, places[i].frozen))
            continue;
        *ret_mount = places[i].mount;
        *ret_file = places[i].file;
        *ret_group = group;
        return true;
    }
    return false;
}

int task_check_group(pid_t pid, int proc_fd, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    const char *mount, *file, *group;
    char *rest;

    if (read_file(proc_fd, "cgroup", GROUPS_LIMIT, &text) < 0)
        return 0; /* a kernel without them */
    for (char *line = strtok_r((char *)text.data, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest))
        if (line_is_frozen(line, &mount, &file, &group))
            return crs_fail(err, CRS_BUSY, EBUSY,
                            "process %d is frozen by its control group (%s%s/%s), as in a paused "
                            "container: thaw that first, then try again",
                            pid, mount, group, file);
    return 0;
}

/* The number of the system call it is in; -1: none, or not known. */
static long call_of(int proc_fd, pid_t tid)
{
    _cleanup_bytes_ struct bytes text = {0};

    if (task_read(proc_fd, tid, "syscall", &text) < 0 || !text.data ||
        (text.data[0] != '-' && (text.data[0] < '0' || text.data[0] > '9')))
        return -1;
    return strtol((char *)text.data, NULL, 10);
}

static bool may_be_vfork(long call)
{
    return call == SYS_clone || call == SYS_clone3
#ifdef SYS_vfork
           || call == SYS_vfork
#endif
        ;
}

int task_explain_delay(struct tracee *t, pid_t tid, struct crs_error *err)
{
    unsigned long flags = 0;
    char state = '?';
    int cpu, r = task_check_group(t->pid, t->proc_fd, err);

    if (r < 0)
        return r;
    task_stat(t->proc_fd, tid, &state, &flags, &cpu);
    if (state == 'D' && may_be_vfork(call_of(t->proc_fd, tid)))
        return crs_fail(err, CRS_TIMED_OUT, ETIMEDOUT,
                        "thread %d of process %d did not stop in time: it waits in vfork for its "
                        "child, which has neither executed a program nor ended; it goes on "
                        "unharmed: try again later",
                        tid, t->pid);
    if (state == 'D')
        return crs_fail(err, CRS_TIMED_OUT, ETIMEDOUT,
                        "thread %d of process %d did not stop in time: it is in an operation of "
                        "the kernel that can't be interrupted (state D: a disk or a network file "
                        "system that does not answer); it goes on unharmed: try again later",
                        tid, t->pid);
    return crs_fail(err, CRS_TIMED_OUT, ETIMEDOUT,
                    "thread %d of process %d did not stop in time (its state is %c): the machine "
                    "may be too busy; it goes on unharmed: try again, or give it more time",
                    tid, t->pid, state);
}
