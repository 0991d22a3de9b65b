/* supervisor.c - PID 1 of a program's own namespaces */
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/passing.h"
#include "engine/rebuild.h"
#include "engine/supervisor.h"
#include "kobj/supervisor_mark.h"

/* What supervisor and caller say to each other: one message, one datagram. */
enum message_type {
    MESSAGE_GO, /* to the supervisor: its IDs are mapped; the last phase was told */
    MESSAGE_PROGRESS,
    MESSAGE_UNAVAILABLE, /* namespaces as needed can't be had */
    MESSAGE_FAILED,
    MESSAGE_RUNNING, /* with a pidfd of the program */
    MESSAGE_STATUS,  /* of waitpid(2) */
};

struct message {
    enum message_type type;
    int status;
    struct crs_error error;
    char phase[32];
    char warning[512];
    uint64_t done_bytes, total_bytes;
};

static int send_message(int fd, const struct message *m, int pass_fd)
{
    return pass_record(fd, m, sizeof(*m), pass_fd);
}

/* -EPIPE: the other end is gone. */
static int receive_message(int fd, struct message *m, int flags, int *ret_fd)
{
    return take_record(fd, m, sizeof(*m), flags, ret_fd);
}

/* ---- in the namespace ---- */

void supervisor_report(const struct crs_progress *progress, void *report_fd)
{
    struct message m = {.type = MESSAGE_PROGRESS,
                        .done_bytes = progress->done_bytes,
                        .total_bytes = progress->total_bytes};

    snprintf(m.phase, sizeof(m.phase), "%s", progress->phase ? progress->phase : "");
    snprintf(m.warning, sizeof(m.warning), "%s", progress->warning ? progress->warning : "");
    /* Before the program runs, the last phase has been shown: the caller answers it. */
    if (send_message(*(int *)report_fd, &m, -1) == 0 && !progress->warning &&
        strcmp(m.phase, REBUILD_LAST_PHASE) == 0)
        receive_message(*(int *)report_fd, &m, 0, NULL);
}

void supervisor_forget_signals(void)
{
    for (int s = 1; s <= 64; s++)
        if (s != SIGKILL && s != SIGSTOP)
            signal(s, SIG_DFL);
}

/*
 * Reap everything, pass signals on, report the end and the stops of the program's first process.
 * Others may outlive it (daemons): they go on, and so do we, since the end of PID 1 would be
 * theirs; whoever waits for the program does not wait for them. Returns the program's status: who
 * has no more than a child to wait for finds it there, as far as PID 1 of a namespace can show it.
 */
static int supervise(pid_t program, int fd, int mark)
{
    struct message m = {.type = MESSAGE_STATUS};
    siginfo_t info;
    sigset_t all;
    int end = 0;
    pid_t pid;

    sigfillset(&all);
    for (;;) {
        while ((pid = waitpid(-1, &m.status, WNOHANG | WUNTRACED | WCONTINUED | __WALL)) > 0)
            if (pid == program) {
                send_message(fd, &m, -1);
                if (!WIFEXITED(m.status) && !WIFSIGNALED(m.status))
                    continue;
                supervisor_mark_set(mark, program = 0); /* its number may become another's */
                end = m.status;
            }
        if (pid < 0 && errno == ECHILD)
            return end;
        if (sigwaitinfo(&all, &info) < 0)
            continue;
        /* What a terminal sends reaches the program by itself. */
        if (info.si_signo != SIGCHLD && info.si_code <= 0 && program > 0)
            kill(program, info.si_signo);
    }
}

static void forget_descriptors(int keep, int other)
{
    unsigned low = keep < other ? keep : other, high = keep < other ? other : keep;

    if (low > 0)
        syscall(SYS_close_range, 0, low - 1, 0);
    if (high - low > 1)
        syscall(SYS_close_range, low + 1, high - 1, 0);
    syscall(SYS_close_range, high + 1, ~0U, 0);
}

/* The mark is there before the program is, so that no checkpoint comes too early. */
static int make_marked(const struct supervisor_work *work, int fd, int *ret_mark,
                       pid_t *ret_program, struct crs_error *err)
{
    int r = supervisor_mark_new(ret_mark);

    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't mark the supervisor: %s", strerror(-r));
    r = work->make(work, fd, ret_program, err);
    if (r < 0)
        return r;
    r = supervisor_mark_set(*ret_mark, *ret_program);
    return r == 0 ? 0
                  : crs_fail(err, CRS_FAILED, -r, "can't mark the supervisor: %s", strerror(-r));
}

__attribute__((noreturn)) static void run_supervisor(const struct supervisor_work *work, int fd,
                                                     uint64_t started_us)
{
    struct message m = {0};
    sigset_t all;
    pid_t program = 0;
    int mark = -1;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_NAME, SUPERVISOR_NAME);
    if (receive_message(fd, &m, 0, NULL) < 0 || m.type != MESSAGE_GO)
        _exit(1);
    m.type = MESSAGE_UNAVAILABLE;
    int r = namespaces_set_up(work->namespaces, &m.error);
    if (r == 0) {
        m.type = MESSAGE_FAILED;
        r = make_marked(work, fd, &mark, &program, &m.error);
    }
    if (r < 0) {
        send_message(fd, &m, -1);
        _exit(1);
    }
    supervisor_forget_signals();
    int pidfd = syscall(SYS_pidfd_open, program, 0);
    m.type = MESSAGE_RUNNING;
    m.done_bytes = now_us() - started_us;
    if (pidfd < 0)
        _exit(1);
    /* Nobody is reaped before the caller knows who it was. It may be gone: the program, which runs
     * already, goes on all the same. */
    send_message(fd, &m, pidfd);
    receive_message(fd, &m, 0, NULL);
    forget_descriptors(fd, mark);
    int end = supervise(program, fd, mark);
    _exit(WIFSIGNALED(end) ? 128 + WTERMSIG(end) : WEXITSTATUS(end));
}

/* ---- the caller ---- */

static int write_file(pid_t pid, const char *name, const char *text)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
}

/* The supervisor is in the caller's own user, and nobody else. */
static int map_ids(pid_t pid, struct crs_error *err)
{
    char uids[64], gids[64];

    snprintf(uids, sizeof(uids), "%u %u 1\n", geteuid(), geteuid());
    snprintf(gids, sizeof(gids), "%u %u 1\n", getegid(), getegid());
    if (write_file(pid, "uid_map", uids) < 0 || write_file(pid, "setgroups", "deny\n") < 0 ||
        write_file(pid, "gid_map", gids) < 0)
        return crs_fail_errno(err, CRS_NOT_PERMITTED,
                              "can't map the user and group of a new user namespace");
    return 0;
}

/* The PID, as the caller sees it, of the process behind a pidfd. */
static pid_t pid_of(int pidfd)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
    if (read_file(AT_FDCWD, path, 4096, &text) < 0)
        return -1;
    char *p = strstr((char *)text.data, "Pid:");
    return p ? atoi(p + 4) : -1;
}

/* Messages until the program runs, or does not. */
static int hear(const struct supervisor_work *work, int fd, struct crs_restarted *ret,
                struct crs_error *err)
{
    struct message m;

    for (;;) {
        _cleanup_close_ int pidfd = -1;
        int r = receive_message(fd, &m, 0, &pidfd);
        if (r < 0)
            return crs_fail(err, CRS_FAILED, EPIPE,
                            "the supervisor of the new namespace ended unexpectedly");
        switch (m.type) {
        case MESSAGE_PROGRESS:
            if (work->progress)
                work->progress(&(struct crs_progress){m.phase, m.done_bytes, m.total_bytes,
                                                      m.warning[0] ? m.warning : NULL},
                               work->progress_arg);
            if (!m.warning[0] && strcmp(m.phase, REBUILD_LAST_PHASE) == 0)
                send_message(fd, &(struct message){.type = MESSAGE_GO}, -1);
            continue;
        case MESSAGE_RUNNING:
            ret->pid = pid_of(pidfd);
            send_message(fd, &(struct message){.type = MESSAGE_GO}, -1);
            ret->first_instruction_us = m.done_bytes;
            return 0;
        default:
            if (err)
                *err = m.error;
            return m.type == MESSAGE_UNAVAILABLE ? -EPERM
                                                 : -(m.error.errnum ? m.error.errnum : EIO);
        }
    }
}

static bool may_make_namespaces(void)
{
    int fd = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    /* Joining one's own PID namespace needs CAP_SYS_ADMIN, and changes nothing. */
    bool may = fd >= 0 && setns(fd, CLONE_NEWPID) == 0;

    cleanup_close(&fd);
    return may;
}

static int launch(const struct supervisor_work *work, int ours, int theirs,
                  struct crs_restarted *ret, pid_t *ret_pid, struct crs_error *err)
{
    unsigned namespaces = work->namespaces | NAMESPACE_PID | NAMESPACE_MOUNT;
    struct clone_args args = {.exit_signal = SIGCHLD, .flags = namespaces_clone_flags(namespaces)};
    uint64_t started_us = now_us();
    struct message go = {.type = MESSAGE_GO};

    if (!may_make_namespaces())
        args.flags |= CLONE_NEWUSER;
    pid_t pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid < 0) {
        int errnum = errno;
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "can't make a user and PID namespace here: %s%s", strerror(errnum),
                        errnum == ENOSPC ? " (none are allowed: /proc/sys/user/max_*_namespaces)"
                                         : "");
    }
    if (pid == 0) {
        close(ours);
        run_supervisor(work, theirs, started_us);
    }
    *ret_pid = pid;
    int r = args.flags & CLONE_NEWUSER ? map_ids(pid, err) : 0;
    if (r == 0 && send_message(ours, &go, -1) < 0)
        r = crs_fail(err, CRS_FAILED, EPIPE, "the supervisor of the new namespace ended");
    return r;
}

/* Out of the way of the standard descriptors, which may be closed here. */
static int make_pair(int *ret_ours, int *ret_theirs)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    *ret_ours = fcntl(pair[0], F_DUPFD_CLOEXEC, 3);
    *ret_theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, 3);
    int errnum = errno;
    close(pair[0]);
    close(pair[1]);
    return *ret_ours < 0 || *ret_theirs < 0 ? -errnum : 0;
}

int supervisor_start(const struct supervisor_work *work, struct crs_restarted *ret,
                     struct crs_error *err)
{
    _cleanup_close_ int ours = -1, theirs = -1;
    int status, r = make_pair(&ours, &theirs);
    pid_t pid = -1;

    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't make a socket pair: %s", strerror(-r));
    r = launch(work, ours, theirs, ret, &pid, err);
    close(TAKE_FD(theirs));
    if (r == 0)
        r = hear(work, ours, ret, err);
    if (r < 0) {
        if (pid > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
        }
        return r;
    }
    ret->wait_pid = pid;
    ret->pids = CRS_PIDS_NAMESPACE;
    ret->status_fd = TAKE_FD(ours);
    return 0;
}

int supervisor_wait(struct crs_restarted *restarted, int wait_flags, int *ret_status,
                    struct crs_error *err)
{
    struct message m;
    int status;

    for (;;) {
        int r = receive_message(restarted->status_fd, &m, wait_flags & WNOHANG ? MSG_DONTWAIT : 0,
                                NULL);
        if (r == -EAGAIN)
            return r;
        if (r < 0) { /* the supervisor was killed, and the program with it */
            if (waitpid(restarted->wait_pid, &status, 0) < 0)
                status = SIGKILL;
            *ret_status = WIFSIGNALED(status) ? status : SIGKILL;
            return 0;
        }
        if ((WIFSTOPPED(m.status) && !(wait_flags & WUNTRACED)) ||
            (WIFCONTINUED(m.status) && !(wait_flags & WCONTINUED)))
            continue;
        *ret_status = m.status;
        return 0;
    }
}
