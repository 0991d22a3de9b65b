/* slice.c - a processor soon, for who works little */
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libcr/slice.h"

#define SHORTEST_NS 100000

/* struct sched_attr, first version: not in all C libraries. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

/* Of an ordinary thread the run time is its slice; 0 on kernels where it has none of its own. */
static uint64_t change(uint64_t slice_ns)
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

/* ---- for others ---- */

/* What the calling thread's were; 0: they have not been shortened. */
static _Thread_local uint64_t own_ns;

void cri_slice_be_short(void)
{
    change(SHORTEST_NS);
}

bool cri_slice_shorten(void)
{
    if (own_ns > 0) /* a signal handler, in the middle of a wait */
        return false;
    own_ns = change(SHORTEST_NS);
    return own_ns > 0;
}

void cri_slice_restore(void)
{
    uint64_t before_ns = own_ns;

    own_ns = 0;
    if (before_ns > 0)
        change(before_ns);
}
