/*
 * perf_event.c - a performance counter can't be saved yet: the refusal names it
 *
 * refused: is a performance counter (perf_event) (anon_inode:[perf_event])
 */
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
                                   .size = sizeof(attr),
                                   .config = PERF_COUNT_SW_TASK_CLOCK,
                                   .exclude_kernel = 1};
    int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    if (fd < 0) {
        perror("perf_event_open");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
