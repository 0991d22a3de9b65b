/* refusal.c - why a process can't be held */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/io.h"
#include "tracee/task.h"

static long yama_scope(void)
{
    _cleanup_bytes_ struct bytes text = {0};

    if (read_file(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", 64, &text) < 0)
        return 0;
    return strtol((char *)text.data, NULL, 10);
}

/* Yama's ptrace_scope: 1 for a process of the same user that is no descendant, 2 for whoever has
 * not CAP_SYS_PTRACE (over the process's user namespace), 3 for everybody. */
static int explain_yama(long scope, pid_t pid, struct crs_error *err)
{
    switch (scope) {
    case 1:
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "the kernel's policy (yama ptrace_scope 1) lets only an ancestor hold "
                        "process %d: start the program with 'crs run', or restart it without "
                        "--detach, then 'crs checkpoint NAME'",
                        pid);
    case 2:
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "the kernel's policy (yama ptrace_scope 2) lets only CAP_SYS_PTRACE hold "
                        "process %d: do it as root, or with kernel.yama.ptrace_scope=1",
                        pid);
    default:
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "the kernel's policy (yama ptrace_scope %ld) lets nobody hold process %d, "
                        "and can't be changed before the machine starts anew",
                        scope, pid);
    }
}

int tracee_explain_stub(pid_t pid, int errnum, struct crs_error *err)
{
    long scope = yama_scope();

    if (errnum == EPERM && scope == 2)
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "the kernel's policy (yama ptrace_scope 2) lets only CAP_SYS_PTRACE hold "
                        "the new process: restart as root, or with --pids=namespace");
    if (errnum == EPERM && scope > 1)
        return explain_yama(scope, pid, err);
    return crs_fail(err, CRS_NOT_PERMITTED, errnum, "can't hold the new process: %s",
                    strerror(errnum));
}

int task_not_there(pid_t pid, int errnum, bool has_ended, struct crs_error *err)
{
    if (errnum == ENOMEM || is_want_of_descriptors(errnum))
        return crs_fail(err, CRS_FAILED, errnum, "can't look at process %d: %s", pid,
                        strerror(errnum));
    return crs_fail(err, CRS_NOT_FOUND, ESRCH,
                    has_ended ? "process %d has ended" : "there is no process %d", pid);
}

int task_explain_refusal(struct tracee *t, int errnum, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes status = {0};
    long scope = yama_scope();
    struct stat st;

    int r = read_file(t->proc_fd, "status", 1 << 20, &status);
    if (r < 0 || is_want_of_descriptors(errnum))
        return task_not_there(t->pid, r < 0 ? -r : errnum, true, err);
    long tracer = task_status_number((char *)status.data, "\nTracerPid:", false);
    long uid = task_status_number((char *)status.data, "\nUid:", false);
    if (tracer > 0)
        return crs_fail(err, CRS_BUSY, EBUSY,
                        "process %d is traced by process %ld (a debugger or another checkpoint): "
                        "end that first",
                        t->pid, tracer);
    if (strstr((char *)status.data, "\nVmSize:") == NULL &&
        task_status_number((char *)status.data, "\nThreads:", false) <= 1)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "process %d is a kernel thread or a zombie: it has nothing to save",
                        t->pid);
    if (geteuid() != 0 && uid != (long)geteuid())
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "process %d belongs to user %ld: only that user or root can hold it",
                        t->pid, uid);
    if (errnum == ESRCH)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d has ended", t->pid);
    if (fstat(t->proc_fd, &st) == 0 && st.st_uid != (uid_t)uid)
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "process %d is not dumpable (it was set-user-ID or protects itself): only "
                        "root can hold it",
                        t->pid);
    if (scope > 0)
        return explain_yama(scope, t->pid, err);
    return crs_fail(err, CRS_NOT_PERMITTED, errnum, "can't hold process %d: %s", t->pid,
                    strerror(errnum));
}
