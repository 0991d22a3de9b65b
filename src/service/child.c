/* child.c - a command, started as our child */
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "child.h"

/* ---- signals ---- */

int child_signals_take(struct child_signals *ret, struct crs_error *err)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t all;

    sigfillset(&all);
    if (sigaction(SIGCHLD, &plain, &ret->sigchld) < 0 ||
        sigprocmask(SIG_SETMASK, &all, &ret->mask) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't block signals");
    return 0;
}

void child_signals_give_back(const struct child_signals *signals)
{
    sigaction(SIGCHLD, &signals->sigchld, NULL);
    sigprocmask(SIG_SETMASK, &signals->mask, NULL);
}

/* ---- the child's side ---- */

static _Noreturn void run_child(char *const *argv, const struct child_signals *signals, int go_fd,
                                int report_fd)
{
    char go;

    if (read_full(go_fd, &go, 1) < 0)
        _exit(125);
    child_signals_give_back(signals);
    execvp(argv[0], argv);
    int errnum = errno;
    (void)!write(report_fd, &errnum, sizeof(errnum));
    _exit(errnum == ENOENT ? 127 : 126);
}

/* execvp(3) says EACCES also where a directory of PATH may not be searched and no other has the
 * command; a shell would say that there is none. */
static bool in_path(const char *command)
{
    const char *path = getenv("PATH");

    if (strchr(command, '/') || !path)
        return true;
    for (size_t n; *path; path += n + (path[n] == ':')) {
        n = strcspn(path, ":");
        _cleanup_free_ char *file =
            format_string("%.*s/%s", n ? (int)n : 1, n ? path : ".", command);
        if (!file || access(file, F_OK) == 0)
            return true;
    }
    return false;
}

/* ---- the parent's side ---- */

/* A pipe out of the way of the standard descriptors, which may be closed here. */
static int make_pipe(int *ret_read, int *ret_write)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    int r = fcntl(fds[0], F_DUPFD_CLOEXEC, 3), w = fcntl(fds[1], F_DUPFD_CLOEXEC, 3);
    int errnum = errno;
    close(fds[0]);
    close(fds[1]);
    if (r >= 0 && w >= 0) {
        *ret_read = r;
        *ret_write = w;
        return 0;
    }
    cleanup_close(&r);
    cleanup_close(&w);
    return -errnum;
}

int child_start(char *const *argv, struct child *ret, struct crs_error *err)
{
    _cleanup_close_ int go_read = -1, go_write = -1, report_read = -1, report_write = -1;
    struct child_signals signals;
    int r = make_pipe(&go_read, &go_write);

    if (r >= 0)
        r = make_pipe(&report_read, &report_write);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't make a pipe: %s", strerror(-r));
    r = child_signals_take(&signals, err);
    if (r < 0)
        return r;
    pid_t pid = fork();
    if (pid == 0) {
        close(go_write); /* so that it sees the end if we go away */
        run_child(argv, &signals, go_read, report_write);
    }
    if (pid < 0) {
        r = crs_fail_errno(err, CRS_FAILED, "can't fork");
        child_signals_give_back(&signals);
        return r;
    }
    *ret = (struct child){pid, TAKE_FD(go_write), TAKE_FD(report_read)};
    return 0;
}

int child_go(struct child *child, const char *command, struct crs_error *err)
{
    int errnum = 0, status;

    int r = write_full(child->go_fd, "", 1);
    cleanup_close(&child->go_fd);
    child->go_fd = -1;
    if (r >= 0)
        r = read_full(child->report_fd, &errnum, sizeof(errnum));
    cleanup_close(&child->report_fd);
    child->report_fd = -1;
    if (r == -ENODATA) /* closed by the exec, or by its early end, which the wait will show */
        return 0;
    waitpid(child->pid, &status, 0);
    child->pid = 0;
    if (r >= 0 && errnum == EACCES && !in_path(command))
        errnum = ENOENT;
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't start %s: %s", command, strerror(-r));
    return crs_fail(err, CRS_FAILED, errnum, "can't run %s: %s", command, strerror(errnum));
}

void child_drop(struct child *child)
{
    cleanup_close(&child->report_fd);
    child->report_fd = -1;
    if (child->go_fd < 0)
        return;
    cleanup_close(&child->go_fd);
    child->go_fd = -1;
    while (child->pid > 0 && waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    child->pid = 0;
}

static int close_others(int first, int last)
{
    if (first > last || close_range(first, last, 0) == 0)
        return 0;
    return -errno;
}

int child_leave_stdio(struct crs_error *err)
{
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't open /dev/null");
    return 0;
}

int child_close_inherited(const struct child *keep, struct crs_error *err)
{
    int low = -1, high = -1, r;

    if (keep) {
        low = keep->go_fd < keep->report_fd ? keep->go_fd : keep->report_fd;
        high = keep->go_fd < keep->report_fd ? keep->report_fd : keep->go_fd;
    }
    r = low < 0 ? 0 : close_others(3, low - 1);
    if (r >= 0 && low >= 0)
        r = close_others(low + 1, high - 1);
    if (r >= 0)
        r = close_others(high < 0 ? 3 : high + 1, INT32_MAX);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't close descriptors: %s", strerror(-r));
    return 0;
}

void child_end_like(int status)
{
    struct rlimit no_core = {0, 0};
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t one;

    if (WIFEXITED(status))
        exit(WEXITSTATUS(status));
    int sig = WTERMSIG(status);
    fflush(NULL);
    setrlimit(RLIMIT_CORE, &no_core);
    prctl(PR_SET_DUMPABLE, 0); /* no core through a pipe handler either */
    sigaction(sig, &plain, NULL);
    sigemptyset(&one);
    sigaddset(&one, sig);
    raise(sig);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    _exit(128 + sig); /* a signal that doesn't end us */
}
