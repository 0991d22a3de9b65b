/* available.c - how much memory a process may still get */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "available.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/io.h"

static const struct {
    const char *root, *limit, *usage;
} versions[] = {
    [1] = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"},
    [2] = {"/sys/fs/cgroup", "memory.max", "memory.current"},
};

uint64_t proc_meminfo_bytes(const char *text, const char *field)
{
    size_t n = strlen(field);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, field, n) == 0 && line[n] == ':')
            return strtoull(line + n + 1, NULL, 10) << 10;
    }
    return 0;
}

char *proc_memory_group(const char *text, int *ret_version)
{
    const char *found = NULL;

    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            break;
        bool old = strncmp(names + 1, "memory:", 7) == 0;
        if (!old && strncmp(line, "0::", 3) != 0)
            continue;
        found = path + 1;
        *ret_version = old ? 1 : 2;
        if (old) /* one that is there counts, not the other */
            break;
    }
    return found ? strndup(found, strcspn(found, "\n")) : NULL;
}

/* "max" and what can't be read: -ENODATA. */
static int read_number(const char *directory, const char *name, uint64_t *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[4096];

    if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path) ||
        read_file(AT_FDCWD, path, 64, &text) < 0 || text.size == 0 || text.data[0] < '0' ||
        text.data[0] > '9')
        return -ENODATA;
    *ret = strtoull((char *)text.data, NULL, 10);
    return 0;
}

/* Of the group and all above it. */
static void limit_by_group(int version, const char *group, uint64_t *available)
{
    char directory[4000];
    uint64_t limit, usage;
    size_t root = strlen(versions[version].root);

    if (snprintf(directory, sizeof(directory), "%s%s", versions[version].root, group) >=
        (int)sizeof(directory))
        return;
    while (strlen(directory) > root) {
        if (read_number(directory, versions[version].limit, &limit) == 0 &&
            read_number(directory, versions[version].usage, &usage) == 0) {
            uint64_t left = limit > usage ? limit - usage : 0;
            if (left < *available)
                *available = left;
        }
        *strrchr(directory, '/') = 0;
    }
}

int proc_available(pid_t pid, uint64_t *ret_available, uint64_t *ret_total)
{
    _cleanup_bytes_ struct bytes text = {0}, groups = {0};
    char path[40];
    int version, r = read_file(AT_FDCWD, "/proc/meminfo", 1 << 20, &text);

    if (r < 0)
        return r;
    *ret_available = proc_meminfo_bytes((char *)text.data, "MemAvailable");
    *ret_total = proc_meminfo_bytes((char *)text.data, "MemTotal");
    snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
    if (read_file(AT_FDCWD, path, 1 << 20, &groups) == 0) {
        _cleanup_free_ char *group = proc_memory_group((char *)groups.data, &version);
        if (group)
            limit_by_group(version, group, ret_available);
    }
    return 0;
}
