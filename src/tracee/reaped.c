/* reaped.c - the ends of processes that the tracer saw before their parent */
#include <pthread.h>

#include "base/array.h"
#include "reaped.h"

/* The leader of a thread group ends last, so few are enough: others' threads may come in between.
 */
static struct {
    pid_t pid;
    int status;
} ends[64];
static unsigned next;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void tracee_note_end(pid_t pid, int status)
{
    pthread_mutex_lock(&lock);
    ends[next % ELEMENTS(ends)].pid = pid;
    ends[next % ELEMENTS(ends)].status = status;
    next++;
    pthread_mutex_unlock(&lock);
}

bool tracee_reaped(pid_t pid, int *ret_status)
{
    bool found = false;

    pthread_mutex_lock(&lock);
    for (unsigned i = 1; i <= ELEMENTS(ends) && !found; i++) {
        unsigned at = (next - i) % ELEMENTS(ends);
        if (ends[at].pid != pid)
            continue;
        *ret_status = ends[at].status;
        ends[at].pid = 0;
        found = true;
    }
    pthread_mutex_unlock(&lock);
    return found;
}
