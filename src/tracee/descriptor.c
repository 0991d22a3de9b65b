/* descriptor.c - a descriptor that a live process makes for us */
#include <string.h>

#include "tracee/spawn.h"

static int make(struct tracee *child, int *ret_fd, struct crs_error *err, const char *what,
                long number, const uint64_t args[6])
{
    int64_t fd;
    int r =
        tracee_call_checked(tracee_main(child), &fd, err, CRS_CANT_CHECKPOINT, what, number, args);

    return r < 0 ? r : tracee_get_fd(child, fd, ret_fd, err);
}

/* In a process that shares the program's memory, but has descriptors of its own: another thread of
 * the program may open or close what it likes, if the tool is killed. */
int tracee_take_fd(struct tracee *t, int *ret_fd, struct crs_error *err, const char *what,
                   long number, const uint64_t args[6])
{
    struct tracee *child;
    int fd = -1, r = tracee_spawn(t, &child, err);

    if (r < 0)
        return r;
    r = make(child, &fd, err, what, number, args);
    int ended = tracee_spawn_end(t, child, r < 0 ? NULL : err);
    if (r == 0 && ended < 0)
        cleanup_close(&fd);
    if (r == 0 && ended == 0)
        *ret_fd = fd;
    return r < 0 ? r : ended;
}
