/* processors.c - how many processors there are for us */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/processors.h"

#define GROUPS      "/sys/fs/cgroup"
#define TEXT_LIMIT  65536
#define MANY_LEVELS 64

unsigned processors_of_quota(const char *text)
{
    char *end;
    unsigned long long quota = strtoull(text, &end, 10), period;

    if (end == text || *end != ' ')
        return UINT_MAX;
    period = strtoull(end + 1, NULL, 10);
    if (quota == 0 || period == 0 || quota / period >= UINT_MAX - 1)
        return UINT_MAX;
    return (unsigned)((quota + period - 1) / period);
}

static unsigned quota_of(const char *group)
{
    _cleanup_free_ char *path = format_string(GROUPS "%s/cpu.max", group);
    _cleanup_bytes_ struct bytes text = {0};

    if (!path || read_file(AT_FDCWD, path, TEXT_LIMIT, &text) < 0)
        return UINT_MAX;
    return processors_of_quota((const char *)text.data);
}

/* Our group's and those above it: the least counts. */
static unsigned quota(void)
{
    _cleanup_bytes_ struct bytes text = {0};
    unsigned least = UINT_MAX;

    if (read_file(AT_FDCWD, "/proc/self/cgroup", TEXT_LIMIT, &text) < 0)
        return UINT_MAX;
    char *group = strstr((char *)text.data, "0::/");
    if (!group)
        return UINT_MAX;
    group += strlen("0::");
    group[strcspn(group, "\n")] = 0;
    for (int level = 0; level < MANY_LEVELS; level++) {
        unsigned n = quota_of(group);
        least = n < least ? n : least;
        char *slash = strrchr(group, '/');
        if (!slash)
            break;
        *slash = 0;
    }
    return least;
}

unsigned processors_count(void)
{
    cpu_set_t cpus;
    unsigned n = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 2;
    unsigned most = quota();

    n = n < most ? n : most;
    return n > 0 ? n : 1;
}
