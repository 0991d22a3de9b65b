/* task.c - what /proc says of a thread, as far as holding it needs that */
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "tracee/task.h"

/* The value of "NAME:\t..." in the text of a status file; 0 when it isn't there. */
long task_status_number(const char *text, const char *name, bool last)
{
    const char *p = strstr(text, name);

    if (!p)
        return 0;
    p += strlen(name);
    long value = strtol(p, (char **)&p, 10);
    while (last && *p == '\t')
        value = strtol(p, (char **)&p, 10);
    return value;
}

int task_read(int proc_fd, pid_t tid, const char *name, struct bytes *ret)
{
    char path[64];

    snprintf(path, sizeof(path), "task/%d/%s", tid, name);
    return read_record(proc_fd, path, 1 << 20, ret);
}

/* The state letter, the flags and the last CPU of a thread: fields 3, 9 and 39 of its stat. */
int task_stat(int proc_fd, pid_t tid, char *ret_state, unsigned long *ret_flags, int *ret_cpu)
{
    _cleanup_bytes_ struct bytes text = {0};
    int r = task_read(proc_fd, tid, "stat", &text);

    if (r < 0)
        return r;
    char *p = strrchr((char *)text.data, ')');
    if (!p || !p[1])
        return -EINVAL;
    *ret_state = p[2];
    p += 2;
    for (int field = 3; field < 39 && p; field++) {
        p = strchr(p, ' ');
        if (p)
            p++;
        if (field + 1 == 9 && p)
            *ret_flags = strtoul(p, NULL, 10);
    }
    *ret_cpu = p ? atoi(p) : -1;
    return 0;
}

int task_exit_status(int proc_fd, pid_t tid)
{
    _cleanup_bytes_ struct bytes text = {0};

    if (task_read(proc_fd, tid, "stat", &text) < 0)
        return 0;
    const char *last = strrchr((char *)text.data, ' ');
    return last ? atoi(last + 1) : 0;
}

void tracee_forget_status(struct tracee_thread *th)
{
    if (th->known)
        proc_status_clear(th->known);
    free(th->known);
    th->known = NULL;
    bytes_clear(&th->status);
}
