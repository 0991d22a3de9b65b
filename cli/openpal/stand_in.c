/* stand_in.c - processes that stand in for a restarted one */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "cli/openpal/stand_in.h"
#include "kobj/supervisor_mark.h"
#include "proc/children.h"
#include "proc/status.h"

#define TEXT_LIMIT (1 << 20)

static int read_of(pid_t pid, const char *name, struct bytes *ret)
{
    char path[300];

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    return read_file(AT_FDCWD, path, TEXT_LIMIT, ret);
}

/* The one child of a thread that is wanted; 0: it has none. */
static pid_t child_of_thread(pid_t pid, const char *thread, bool (*wanted)(pid_t, pid_t), pid_t arg)
{
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_free_ pid_t *children = NULL;
    char name[280];
    size_t n = 0;

    snprintf(name, sizeof(name), "task/%s/children", thread);
    if (read_of(pid, name, &text) < 0 ||
        proc_children_parse((const char *)text.data, &children, &n) < 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (wanted(children[i], arg))
            return children[i];
    return 0;
}

static pid_t child_of(pid_t pid, bool (*wanted)(pid_t, pid_t), pid_t arg)
{
    char path[40];
    struct dirent *entry;
    pid_t found = 0;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    _cleanup_closedir_ DIR *dir = opendir(path);
    while (dir && !found && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            found = child_of_thread(pid, entry->d_name, wanted, arg);
    return found;
}

static bool any(pid_t child, pid_t arg)
{
    return true;
}

static bool has_inner_pid(pid_t child, pid_t number)
{
    _cleanup_proc_status_ struct proc_status status = {0};
    _cleanup_bytes_ struct bytes text = {0};

    return read_of(child, "status", &text) == 0 &&
           proc_status_parse((const char *)text.data, &status) == 0 && status.inner_tgid == number;
}

/* What is below it is asked who it is, so that a name is enough. */
static bool is_cr_restart(pid_t pid)
{
    _cleanup_bytes_ struct bytes text = {0};

    return read_of(pid, "comm", &text) == 0 && strcmp((const char *)text.data, "cr_restart\n") == 0;
}

static pid_t program_below_supervisor(pid_t pid)
{
    struct supervisor_found found = {.proc_fd = -1};

    if (supervisor_above(pid, &found) < 0)
        return 0;
    close(found.proc_fd);
    return found.pid == pid && found.program > 0 ? child_of(pid, has_inner_pid, found.program) : 0;
}

pid_t stand_in_program(pid_t pid)
{
    pid_t below = is_cr_restart(pid) ? child_of(pid, any, 0) : 0;

    if (below)
        pid = below;
    below = program_below_supervisor(pid);
    return below ? below : pid;
}
