/*
 * family.c - a process and all its descendants, as CRIU saves them together
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "openpal/criu/family.h"

static int signal_children(const char *children_path, int number)
{
    _cleanup_fclose_ FILE *file = fopen(children_path, "re");
    int pid;
    while (file && fscanf(file, "%d", &pid) == 1) {
        int r = family_signal(pid, number);
        if (r)
            return r;
    }
    return 0;
}

/* Each thread has children of its own. */
int family_signal(pid_t pid, int number)
{
    char path[300];
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    _cleanup_closedir_ DIR *tasks = opendir(path);
    struct dirent *entry;
    while (tasks && (entry = readdir(tasks))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, entry->d_name);
        int r = signal_children(path, number);
        if (r)
            return r;
    }
    return kill(pid, number) < 0 && errno != ESRCH ? errno : 0;
}

static pid_t parent_of(pid_t pid)
{
    char path[64], line[256];
    pid_t parent = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "PPid: %d", &parent) == 1)
            break;
    return parent;
}

bool family_is_ancestor(pid_t pid)
{
    for (pid_t p = getppid(); p > 0; p = parent_of(p))
        if (p == pid)
            return true;
    return false;
}
