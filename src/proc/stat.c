/* stat.c - /proc/PID/stat: text in, struct out */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stat.h"

/* Their numbers as in proc(5). */
enum {
    PARENT = 4,
    GROUP = 5,
    SESSION = 6,
    TERMINAL = 7,
    FOREGROUND_GROUP = 8,
    FLAGS = 9,
    MINOR_FAULTS = 10,
    MAJOR_FAULTS = 12,
    UTIME = 14,
    STIME = 15,
    PRIORITY = 18,
    NICE = 19,
    THREADS = 20,
    START_TIME = 22,
    EXIT_SIGNAL = 38,
    PROCESSOR = 39,
    RT_PRIORITY = 40,
    POLICY = 41,
    N_FIELDS,
};

/* What stands behind the state. (sscanf(3) takes as long for it as the kernel takes to write it.)
 */
static bool parse_numbers(const char *text, uint64_t values[N_FIELDS])
{
    char *end;

    for (int i = PARENT; i < N_FIELDS; i++, text = end) {
        values[i] = strtoull(text, &end, 10);
        if (end == text)
            return false;
    }
    return true;
}

int proc_stat_parse(const char *text, struct proc_stat *ret)
{
    /* The name is what the program likes: only its last ')' is the kernel's. */
    const char *open = strchr(text, '('), *close = strrchr(text, ')');
    struct proc_stat s = {0};
    uint64_t values[N_FIELDS];
    char *end;

    if (!open || !close || close < open)
        return -EINVAL;
    s.pid = (pid_t)strtol(text, &end, 10);
    if (end == text)
        return -EINVAL;
    size_t n = close - open - 1;
    if (n >= sizeof(s.command))
        return -EINVAL;
    memcpy(s.command, open + 1, n);

    s.state = close[1] == ' ' ? close[2] : 0;
    if (!s.state || !parse_numbers(close + 3, values))
        return -EINVAL;
    s.parent = (pid_t)values[PARENT];
    s.group = (pid_t)values[GROUP];
    s.session = (pid_t)values[SESSION];
    s.terminal = (int)values[TERMINAL];
    s.foreground_group = (pid_t)values[FOREGROUND_GROUP];
    s.flags = values[FLAGS];
    s.minor_faults = values[MINOR_FAULTS];
    s.major_faults = values[MAJOR_FAULTS];
    s.utime = values[UTIME];
    s.stime = values[STIME];
    s.priority = (long)values[PRIORITY];
    s.nice = (long)values[NICE];
    s.threads = (unsigned)values[THREADS];
    s.start_time = values[START_TIME];
    s.exit_signal = (int)values[EXIT_SIGNAL];
    s.processor = (int)values[PROCESSOR];
    s.rt_priority = (unsigned)values[RT_PRIORITY];
    s.policy = (unsigned)values[POLICY];
    *ret = s;
    return 0;
}
