/* waitable.c - what a parent's wait would tell of a child, asked without taking it */
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engine/waitable.h"

static int ask(struct tracee *parent, pid_t pid, int what, siginfo_t *ret, struct crs_error *err)
{
    int64_t result;

    *ret = (siginfo_t){0};
    /* __WALL: also children that were made by clone(2) with another signal than SIGCHLD. */
    int r = tracee_call_with_block(
        tracee_main(parent), &result, err, SYS_waitid,
        (const uint64_t[6]){P_PID, pid, 0, what | WNOHANG | WNOWAIT | __WALL}, 2, ret, ret,
        sizeof(*ret));
    if (r == 0 && result < 0)
        ret->si_pid = 0; /* ECHILD: nobody will ever wait for it */
    return r;
}

int waitable_end(struct tracee *parent, pid_t pid, bool *ret_found, uint32_t *ret_status,
                 struct crs_error *err)
{
    siginfo_t info;
    int r = ask(parent, pid, WEXITED, &info, err);

    if (r < 0)
        return r;
    *ret_found = info.si_pid == pid;
    if (info.si_code == CLD_EXITED)
        *ret_status = W_EXITCODE(info.si_status & 0xff, 0);
    else
        *ret_status = (info.si_status & 0x7f) | (info.si_code == CLD_DUMPED ? WCOREFLAG : 0);
    return 0;
}

int waitable_stop(struct tracee *parent, pid_t pid, bool *ret, struct crs_error *err)
{
    siginfo_t info;
    int r = ask(parent, pid, WSTOPPED, &info, err);

    if (r == 0)
        *ret = info.si_pid == pid;
    return r;
}
