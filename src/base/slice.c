/* slice.c - how soon a thread gets a processor when it is woken, and who may take it away */
#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/slice.h"

/* struct sched_attr, first version: not in all C libraries. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

/* Of an ordinary thread the run time is its slice; 0 on kernels where it has none of its own. */
uint64_t slice_change(uint64_t slice_ns)
{
    struct attributes a = {.size = sizeof(a)};
    int saved = errno;
    uint64_t before_ns = 0;

    if (syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) == 0 && a.policy == SCHED_OTHER &&
        a.runtime_ns > 0) {
        before_ns = a.runtime_ns;
        a.runtime_ns = slice_ns;
        if (syscall(SYS_sched_setattr, 0, &a, 0) < 0)
            before_ns = 0;
    }
    errno = saved;
    return before_ns;
}
