/* refusal.c - why a process can't be held */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "tracee/task.h"

static long yama_scope(void)
{
    _cleanup_bytes_ struct bytes text = {0};

    if (read_file(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", 64, &text) < 0)
        return 0;
    return strtol((char *)text.data, NULL, 10);
}

int task_explain_refusal(struct tracee *t, int errnum, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes status = {0};
    struct stat st;

    if (read_file(t->proc_fd, "status", 1 << 20, &status) < 0)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d has ended", t->pid);
    long tracer = task_status_number((char *)status.data, "\nTracerPid:", false);
    long uid = task_status_number((char *)status.data, "\nUid:", false);
    if (tracer > 0)
        return crs_fail(err, CRS_BUSY, EBUSY,
                        "process %d is traced by process %ld (a debugger or another checkpoint): "
                        "end that first",
                        t->pid, tracer);
    if (strstr((char *)status.data, "\nVmSize:") == NULL &&
        task_status_number((char *)status.data, "\nThreads:", false) > 1)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "the first thread of process %d has exited while others live: that can't "
                        "be saved yet",
                        t->pid);
    if (strstr((char *)status.data, "\nVmSize:") == NULL)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "process %d is a kernel thread or a zombie: it has nothing to save",
                        t->pid);
    if (geteuid() != 0 && uid != (long)geteuid())
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "process %d belongs to user %ld: only that user or root can hold it",
                        t->pid, uid);
    if (errnum == ESRCH)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d has ended", t->pid);
    if (yama_scope() > 0)
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "the kernel's policy (yama ptrace_scope %ld) lets only an ancestor hold "
                        "process %d: start the program with 'crs run', then 'crs checkpoint NAME'",
                        yama_scope(), t->pid);
    if (fstat(t->proc_fd, &st) == 0 && st.st_uid != (uid_t)uid)
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "process %d is not dumpable (it was set-user-ID or protects itself): only "
                        "root can hold it",
                        t->pid);
    return crs_fail(err, CRS_NOT_PERMITTED, errnum, "can't hold process %d: %s", t->pid,
                    strerror(errnum));
}
