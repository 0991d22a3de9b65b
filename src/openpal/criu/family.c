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

/* A line of /proc/PID/status, after its name. */
static bool read_status(pid_t pid, const char *name, char *ret, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    while (file && fgets(ret, (int)size, file))
        if (strncmp(ret, name, strlen(name)) == 0) {
            memmove(ret, ret + strlen(name), strlen(ret + strlen(name)) + 1);
            return true;
        }
    return false;
}

bool family_is_stopped(pid_t pid)
{
    char line[256];
    return read_status(pid, "State:\t", line, sizeof(line)) && line[0] == 'T';
}

static pid_t parent_of(pid_t pid)
{
    char line[256];
    return read_status(pid, "PPid:\t", line, sizeof(line)) ? atoi(line) : 0;
}

bool family_is_ancestor(pid_t pid)
{
    for (pid_t p = getppid(); p > 0; p = parent_of(p))
        if (p == pid)
            return true;
    return false;
}
