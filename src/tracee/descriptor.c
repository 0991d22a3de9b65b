/* descriptor.c - a descriptor that a live process makes for us */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tracee/tracee.h"

/* The number that the next descriptor gets: the lowest that is free. */
static int next_number(struct tracee *t, int *ret, struct crs_error *err)
{
    int fd = openat(t->proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC), next = 0;
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        return crs_fail_errno(err, CRS_NOT_PERMITTED, "can't list the open descriptors");
    for (struct dirent *e; (e = readdir(dir));) /* the kernel lists them in order */
        if (e->d_name[0] != '.' && atoi(e->d_name) == next)
            next++;
    *ret = next;
    return 0;
}

/*
 * Which number it will be is known as long as all threads stand still. Were the tool killed before
 * the call has it, and another thread faster, that one's would be closed: so whoever kills can see
 * these microseconds, as those of the interruption (freeze.c).
 */
static int open_there(struct tracee_thread *th, struct remote_call *call, struct crs_error *err)
{
    bool alone = th->owner->n_threads == 1;
    char name[16] = "";
    int number = 0;

    int r = next_number(th->owner, &number, err);
    if (r < 0)
        return r;
    prctl(PR_GET_NAME, name);
    if (!alone)
        prctl(PR_SET_NAME, TRACEE_INTERRUPTING);
    r = arch_calls_open(th, call, number, err);
    if (!alone)
        prctl(PR_SET_NAME, name);
    return r;
}

int tracee_take_fd(struct tracee_thread *th, int *ret_fd, struct crs_error *err, const char *what,
                   long number, const uint64_t args[6])
{
    struct remote_call call = {.number = number};
    struct tracee *t = th->owner;

    memcpy(call.args, args, sizeof(call.args));
    int r = tracee_prepare_calls(t, err);
    if (r < 0)
        return r;
    if (t->rehearsal || t->memory_of || t->threads[0].exited)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "process %d is of a kind that makes no descriptor for the tool", t->pid);
    r = open_there(th, &call, err);
    if (r < 0)
        return r;
    if (call.result < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, -call.result, "can't %s in process %d: %s", what,
                        t->pid, strerror(-call.result));
    r = tracee_get_fd(t, call.result, ret_fd, err);
    int closed = REMOTE(th, &(int64_t){0}, r < 0 ? NULL : err, SYS_close, call.result);
    if (r == 0 && closed < 0)
        cleanup_close(ret_fd);
    return r < 0 ? r : closed;
}
