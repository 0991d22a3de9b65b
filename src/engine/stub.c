/* stub.c - the process that a restart builds up */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "engine/stub.h"

#define START_TIME_US (30 * 1000000)
#define FREE_TIME_US  (5 * 1000000)

/* What the kernel's signal action looks like to rt_sigaction. */
struct kernel_sigaction {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint64_t mask;
};

/* ---- in the child, between clone and exec: nothing but system calls ---- */

static void close_all_but(int keep, int keep_from)
{
    if (keep > 0)
        syscall(SYS_close_range, 0, keep - 1, 0);
    if (keep + 1 < keep_from)
        syscall(SYS_close_range, keep + 1, keep_from - 1, 0);
}

static void default_signals(void)
{
    const struct kernel_sigaction action = {0};
    const uint64_t all = ~0ULL;

    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
    for (int s = 1; s <= 64; s++)
        syscall(SYS_rt_sigaction, s, &action, NULL, sizeof(action.mask));
}

/*
 * Threads get their saved IDs only if the process that makes them, the stub itself, may choose IDs.
 * An ordinary user's capabilities end at exec, but for the ambient ones. What the program didn't
 * have is given up again with its credentials.
 */
static void keep_capability(unsigned capability)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {0};

    if (syscall(SYS_capget, &header, data) < 0)
        return;
    data[capability / 32].inheritable |= 1u << (capability % 32);
    if (syscall(SYS_capset, &header, data) == 0)
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
}

__attribute__((noreturn)) static void run_child(const struct stub_options *o, int sync_fd,
                                                int tools_fd)
{
    const char *const argv[] = {o->name, NULL}, *const env[] = {NULL};
    char go;
    int errnum;

    syscall(SYS_close,
            tools_fd); /* the tool's end is its alone: should it be killed, so do we end */
    default_signals();
    if (o->pid)
        keep_capability(CAP_CHECKPOINT_RESTORE);
    if (o->topmost) /* the saved personality is set later */
        personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE);
    if (read(sync_fd, &go, 1) != 1)
        _exit(1);
    /* Three descriptors must survive: the executable and the report (both close-on-exec), and the
     * service socket under its number. They are moved out of each other's way first. */
    int exe = fcntl(o->exe_fd, F_DUPFD_CLOEXEC, o->keep_from);
    int report = fcntl(sync_fd, F_DUPFD_CLOEXEC, o->keep_from);
    if (exe >= 0 && report >= 0 && dup2(o->service_fd, o->remote_service_fd) >= 0) {
        close_all_but(o->remote_service_fd, o->keep_from);
        syscall(SYS_execveat, exe, "", argv, env, AT_EMPTY_PATH);
    }
    errnum = errno;
    if (report >= 0 && write(report, &errnum, sizeof(errnum)) < 0)
        _exit(2);
    _exit(3);
}

/* ---- in the tool ---- */

/* The state letter of a process; '?': there is none. */
static char state_of(pid_t pid)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (read_file(AT_FDCWD, path, 4096, &text) < 0)
        return '?';
    const char *p = strrchr((char *)text.data, ')');
    return p && p[1] ? p[2] : '?';
}

/* Who has that PID has ended: it will be free as soon as its parent has waited for it, or the last
 * of its process group is gone. */
static bool will_be_free(pid_t wanted, uint64_t until_us)
{
    if (now_us() > until_us || !strchr("ZX?", state_of(wanted)))
        return false;
    usleep(1000);
    return true;
}

static int explain_clone(pid_t wanted, struct crs_error *err)
{
    int errnum = errno;
    _cleanup_bytes_ struct bytes comm = {0};
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/comm", wanted);
    if (errnum == EEXIST && read_file(AT_FDCWD, path, 256, &comm) == 0)
        comm.data[strcspn((char *)comm.data, "\n")] = 0;
    switch (errnum) {
    case EEXIST:
        return crs_fail(err, CRS_BUSY, EEXIST,
                        "PID %d is in use%s%s: wait until it is free, or restart with "
                        "--pids=namespace or --pids=new",
                        wanted, comm.data ? " by " : "", comm.data ? (char *)comm.data : "");
    case EPERM:
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "choosing PID %d needs CAP_CHECKPOINT_RESTORE: restart with "
                        "--pids=namespace or --pids=new",
                        wanted);
    case EINVAL:
        return crs_fail(err, CRS_CANT_RESTART, EINVAL,
                        "PID %d is above this system's limit (kernel.pid_max): restart with "
                        "--pids=namespace or --pids=new",
                        wanted);
    case ENOSYS:
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "choosing PID %d needs clone3(2), which a seccomp filter (of a container?) "
                        "hides here: restart with --pids=new",
                        wanted);
    default:
        return crs_fail_errno(err, CRS_FAILED, "can't make a process");
    }
}

/* The stub runs until it has exec'ed; the stop after it is its first. */
static int wait_for_exec(pid_t pid, int sync_fd, struct crs_error *err)
{
    int status, errnum = 0;

    for (;;) {
        int r = tracee_wait(pid, now_us() + START_TIME_US, &status);
        if (r < 0)
            return crs_fail(err, CRS_FAILED, -r, "the new process did not start: %s", strerror(-r));
        if (!WIFSTOPPED(status)) {
            if (read(sync_fd, &errnum, sizeof(errnum)) == sizeof(errnum))
                return crs_fail(err, CRS_CANT_RESTART, errnum,
                                "the saved executable can't be run here: %s", strerror(errnum));
            return crs_fail(err, CRS_FAILED, ESRCH, "the new process ended at once");
        }
        bool exec = status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8);
        if (ptrace(PTRACE_SYSCALL, pid, 0, 0) < 0)
            return crs_fail_errno(err, CRS_FAILED, "can't run the new process");
        if (!exec)
            continue;
        /* The exec call's own exit; from there remote calls can be made. */
        r = tracee_wait(pid, now_us() + START_TIME_US, &status);
        return r == 0 && WIFSTOPPED(status)
                   ? 0
                   : crs_fail(err, CRS_FAILED, ESRCH, "the new process ended in its exec");
    }
}

static int hold_and_exec(pid_t pid, int sync_fd, struct tracee **ret, struct crs_error *err)
{
    if (ptrace(PTRACE_SEIZE, pid, 0, (void *)(long)STUB_OPTIONS) < 0)
        return tracee_explain_stub(pid, errno, err);
    if (write(sync_fd, "g", 1) != 1)
        return crs_fail_errno(err, CRS_FAILED, "can't start the new process");
    int r = wait_for_exec(pid, sync_fd, err);
    return r < 0 ? r : tracee_adopt_stub(pid, ret, err);
}

int stub_start(const struct stub_options *o, struct tracee **ret, struct crs_error *err)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    pid_t wanted = o->pid;
    int pair[2], status;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a socket pair");
    _cleanup_close_ int ours = pair[0], theirs = pair[1];
    if (wanted) {
        args.set_tid = (uintptr_t)&wanted;
        args.set_tid_size = 1;
    }
    uint64_t until_us = now_us() + FREE_TIME_US;
    pid_t pid;
    do /* containers often have a filter that hides clone3: only who chooses a PID needs it */
        pid = wanted ? syscall(SYS_clone3, &args, sizeof(args))
                     : syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
    while (pid < 0 && errno == EEXIST && will_be_free(wanted, until_us));
    if (pid < 0)
        return explain_clone(wanted, err);
    if (pid == 0)
        run_child(o, theirs, ours);
    close(TAKE_FD(theirs));
    int r = hold_and_exec(pid, ours, ret, err);
    if (r < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, __WALL);
    }
    return r;
}

/* ---- from a stub ---- */

static int remote_clone(struct tracee_thread *th, uint64_t flags, int exit_signal, pid_t wanted,
                        pid_t *ret, struct crs_error *err)
{
    struct {
        struct clone_args args;
        pid_t wanted;
    } block = {.args = {.flags = flags, .exit_signal = exit_signal}, .wanted = wanted};
    const uint64_t args[6] = {0, sizeof(block.args)};
    struct tracee *t = th->owner;
    uint64_t until_us = now_us() + FREE_TIME_US;
    int64_t result;
    int r = 0;

    if (!t->scratch) /* the first call finds a place for it */
        r = REMOTE(th, &result, err, SYS_getpid);
    if (r < 0)
        return r;
    if (wanted) {
        block.args.set_tid = t->scratch + offsetof(__typeof__(block), wanted);
        block.args.set_tid_size = 1;
    }
    do
        r = wanted ? tracee_call_with_block(th, &result, err, SYS_clone3, args, 0, &block, NULL,
                                            sizeof(block))
                   : REMOTE(th, &result, err, SYS_clone, flags | exit_signal);
    while (r == 0 && result == -EEXIST && will_be_free(wanted, until_us));
    if (r < 0)
        return r;
    if (result < 0) {
        errno = -result;
        return explain_clone(wanted, err);
    }
    *ret = result;
    return 0;
}

int stub_add_thread(struct tracee *t, size_t maker, pid_t tid, struct crs_error *err)
{
    pid_t made;
    int r = remote_clone(&t->threads[maker], STUB_THREAD_FLAGS, 0, tid, &made, err);

    return r < 0 ? r : tracee_adopt_thread(t, made, err);
}

/* The kernel holds it for us from its birth on; its first stop is before it runs. */
int stub_fork(struct tracee_thread *th, pid_t pid, int exit_signal, uint64_t flags,
              struct tracee **ret, struct crs_error *err)
{
    pid_t made;
    int status;
    int r = remote_clone(th, flags, flags & CLONE_PARENT ? 0 : exit_signal, pid, &made, err);

    if (r < 0)
        return r;
    r = tracee_wait(made, now_us() + START_TIME_US, &status);
    if (r < 0 || !WIFSTOPPED(status))
        r = crs_fail(err, CRS_FAILED, r < 0 ? -r : ESRCH, "the new process %d did not stop", made);
    if (r == 0)
        r = tracee_adopt_stub(made, ret, err);
    if (r < 0)
        kill(made, SIGKILL);
    return r;
}

int stub_exec(struct tracee *t, int remote_exe_fd, const char *name, struct crs_error *err)
{
    struct {
        uint64_t argv[2], env[1];
        char empty[8], name[64];
    } block = {.argv = {0}};
    struct tracee_thread *th = tracee_main(t);
    int64_t result;
    int r = t->scratch ? 0 : REMOTE(th, &result, err, SYS_getpid);

    if (r < 0)
        return r;
    const uint64_t at = t->scratch;
    snprintf(block.name, sizeof(block.name), "%s", name);
    block.argv[0] = at + offsetof(__typeof__(block), name);
    r = tracee_write(t, at, &block, sizeof(block), err);
    if (r == 0)
        r = REMOTE(th, &result, err, SYS_execveat, remote_exe_fd,
                   at + offsetof(__typeof__(block), empty), at,
                   at + offsetof(__typeof__(block), env), AT_EMPTY_PATH);
    if (r < 0)
        return r;
    if (result < 0)
        return crs_fail(err, CRS_CANT_RESTART, -result,
                        "the saved executable of %s can't be run here: %s", name,
                        strerror(-result));
    return tracee_renew_stub(t, err);
}

void stub_kill(struct tracee *t)
{
    int status;

    if (!t)
        return;
    kill(t->pid, SIGKILL);
    t->frozen = false;
    for (size_t i = t->n_threads; i-- > 0;)
        while (tracee_wait(t->threads[i].tid, now_us() + START_TIME_US, &status) == 0 &&
               WIFSTOPPED(status))
            ;
}
