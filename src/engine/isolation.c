/* isolation.c - a command in namespaces of its own, from its start */
#include <string.h>
#include <unistd.h>

#include "engine/clocks.h"
#include "engine/isolation.h"
#include "kobj/pty.h"

struct command {
    unsigned namespaces;
    void (*run)(const void *arg);
    const void *arg;
};

/* A terminal of the outside would lose its name under another /dev/pts. */
static bool has_terminal(void)
{
    return isatty(0) || isatty(1) || isatty(2);
}

static int make(const struct supervisor_work *work, int report_fd, pid_t *ret_pid,
                struct crs_error *err)
{
    const struct command *command = work->arg;
    int r = 0;

    if (!has_terminal())
        r = pty_mount_own();
    if (r < 0)
        return crs_fail(err, CRS_NOT_PERMITTED, -r, "can't mount a /dev/pts of its own: %s",
                        strerror(-r));
    if (command->namespaces & NAMESPACE_TIME)
        r = clocks_enter(NULL, NULL);
    if (r < 0)
        return crs_fail(err, CRS_NOT_PERMITTED, -r, "can't make a time namespace here: %s",
                        strerror(-r));
    pid_t pid = fork();
    if (pid == 0) {
        command->run(command->arg);
        _exit(125);
    }
    if (pid < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't fork");
    *ret_pid = pid;
    return 0;
}

int isolation_start(unsigned namespaces, void (*run)(const void *arg), const void *arg,
                    struct crs_restarted *ret, struct crs_error *err)
{
    const struct command command = {namespaces, run, arg};
    const struct supervisor_work work = {.namespaces = namespaces, .make = make, .arg = &command};

    *ret = (struct crs_restarted){.status_fd = -1, .fill_fd = -1};
    return supervisor_start(&work, ret, err);
}
