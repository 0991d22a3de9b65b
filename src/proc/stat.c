/* stat.c - /proc/PID/stat: text in, struct out */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "stat.h"

int proc_stat_parse(const char *text, struct proc_stat *ret)
{
    /* The name is what the program likes: only its last ')' is the kernel's. */
    const char *open = strchr(text, '('), *close = strrchr(text, ')');
    struct proc_stat s = {0};

    if (!open || !close || close < open || sscanf(text, "%d ", &s.pid) != 1)
        return -EINVAL;
    size_t n = close - open - 1;
    if (n >= sizeof(s.command))
        return -EINVAL;
    memcpy(s.command, open + 1, n);

    int fields =
        sscanf(close + 1,
               " %c %d %d %d %d %d %" SCNu64 " %" SCNu64 " %*u %" SCNu64 " %*u %" SCNu64 " %" SCNu64
               " %*d %*d %ld %ld %u %*d %" SCNu64
               " %*u %*d %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %d %d %u %u",
               &s.state, &s.parent, &s.group, &s.session, &s.terminal, &s.foreground_group,
               &s.flags, &s.minor_faults, &s.major_faults, &s.utime, &s.stime, &s.priority, &s.nice,
               &s.threads, &s.start_time, &s.exit_signal, &s.processor, &s.rt_priority, &s.policy);
    if (fields != 19)
        return -EINVAL;
    *ret = s;
    return 0;
}
