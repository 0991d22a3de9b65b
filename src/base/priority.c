/* priority.c - work that others go before */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/priority.h"

#define LEAST_NICE 19
#define LEAST_DISK 7

void priority_lower(void)
{
    const struct sched_param none = {0};

    /* On Linux these are the thread's own, whatever POSIX says. What is refused is done without. */
    setpriority(PRIO_PROCESS, (id_t)gettid(), LEAST_NICE);
    sched_setscheduler(0, SCHED_BATCH, &none);
    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, LEAST_DISK));
}

bool priority_of_session(bool behind)
{
    _cleanup_close_ int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    char text[16];

    if (fd < 0)
        return true;
    int n = snprintf(text, sizeof(text), "%d", behind ? LEAST_NICE : 0);
    return write(fd, text, n) == n || errno != EAGAIN;
}
