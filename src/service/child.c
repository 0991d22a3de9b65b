/* child.c - a command, started as our child */
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "child.h"
#include "engine/isolation.h"

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

bool child_in_path(const char *command)
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

/* What the child needs, in whichever process it is forked. */
struct start {
    char *const *argv;
    const struct child_signals *signals;
    int go_read, go_write, report_write;
};

static _Noreturn void run_started(const void *arg)
{
    const struct start *start = arg;

    close(start->go_write); /* so that it sees the end if we go away */
    run_child(start->argv, start->signals, start->go_read, start->report_write);
}

static int start_plain(const struct start *start, struct crs_restarted *ret, struct crs_error *err)
{
    pid_t pid = fork();

    if (pid == 0)
        run_started(start);
    if (pid < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't fork");
    *ret = (struct crs_restarted){.pid = pid, .wait_pid = pid, .status_fd = -1, .fill_fd = -1};
    return 0;
}

int child_start(char *const *argv, unsigned namespaces, struct child *ret, struct crs_error *err)
{
    _cleanup_close_ int go_read = -1, go_write = -1, report_read = -1, report_write = -1;
    struct child_signals signals;
    struct crs_restarted to_wait;
    int r = make_pipe(&go_read, &go_write);

    if (r >= 0)
        r = make_pipe(&report_read, &report_write);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't make a pipe: %s", strerror(-r));
    r = child_signals_take(&signals, err);
    if (r < 0)
        return r;
    const struct start start = {argv, &signals, go_read, go_write, report_write};
    r = namespaces ? isolation_start(namespaces, run_started, &start, &to_wait, err)
                   : start_plain(&start, &to_wait, err);
    if (r < 0) {
        child_signals_give_back(&signals);
        return r;
    }
    *ret = (struct child){to_wait.pid, TAKE_FD(go_write), TAKE_FD(report_read), to_wait};
    return 0;
}

/* Of one that won't run the command. */
static void wait_for_end(struct child *child)
{
    while (child->pid > 0 && waitpid(child->to_wait.wait_pid, NULL, 0) < 0 && errno == EINTR)
        ;
    cleanup_close(&child->to_wait.status_fd);
    child->to_wait.status_fd = -1;
    child->pid = 0;
}

int child_go(struct child *child, const char *command, struct crs_error *err)
{
    int errnum = 0;

    int r = write_full(child->go_fd, "", 1);
    cleanup_close(&child->go_fd);
    child->go_fd = -1;
    if (r >= 0)
        r = read_full(child->report_fd, &errnum, sizeof(errnum));
    cleanup_close(&child->report_fd);
    child->report_fd = -1;
    if (r == -ENODATA) /* closed by the exec, or by its early end, which the wait will show */
        return 0;
    wait_for_end(child);
    if (r >= 0 && errnum == EACCES && !child_in_path(command))
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
    wait_for_end(child);
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

/* Up to, and above, those of `keep`, which are few and in no order. */
static int close_all_but(const int *keep, size_t n)
{
    int from = 3, r = 0;

    while (r == 0) {
        int next = INT32_MAX;
        for (size_t i = 0; i < n; i++)
            if (keep[i] >= from && keep[i] < next)
                next = keep[i];
        r = close_others(from, next == INT32_MAX ? next : next - 1);
        if (next == INT32_MAX)
            break;
        from = next + 1;
    }
    return r;
}

int child_close_inherited(const struct child *keep, struct crs_error *err)
{
    int fds[3], r;

    if (keep) {
        fds[0] = keep->go_fd;
        fds[1] = keep->report_fd;
        fds[2] = keep->to_wait.status_fd;
    }
    r = close_all_but(fds, keep ? ELEMENTS(fds) : 0);
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
