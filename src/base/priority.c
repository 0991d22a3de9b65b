/* priority.c - work that others go before */
#include <linux/ioprio.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

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
