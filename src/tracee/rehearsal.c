/* rehearsal.c - a child that makes calls which do nothing */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tracee/rehearsal.h"

/* The child's own reads and writes have this as an argument that the kernel doesn't look at. */
#define OWN_CALL 0x5eca11

#define ANSWER_TIME_S 10 /* a filter may ask somebody else, who doesn't answer */

struct rehearsal {
    pid_t pid; /* 0: none, the last one was killed */
    int fd;
};

/* ---- the child: one call after the other, nothing else ---- */

static int forbid_all(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_CALL, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        /* Nobody traces the child: the call fails and is not made. */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
        return errno;
    return 0;
}

static void rehearse(int fd)
{
    struct remote_call call;
    const struct rlimit no_core = {0};

    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &no_core);
    int answer = forbid_all();
    do {
        if (syscall(SYS_write, fd, &answer, sizeof(answer), 0, 0, OWN_CALL) != sizeof(answer) ||
            answer != 0 ||
            syscall(SYS_read, fd, &call, sizeof(call), 0, 0, OWN_CALL) != sizeof(call))
            break;
        syscall(call.number, call.args[0], call.args[1], call.args[2], call.args[3], call.args[4],
                call.args[5] == OWN_CALL ? 0 : call.args[5]);
    } while (true);
    for (;;)
        syscall(SYS_exit_group, 0, 0, 0, 0, 0, OWN_CALL);
}

/* ---- the caller ---- */

/* 0, or what the child could not do (errno); -ESRCH: it was killed. */
static int hear(struct rehearsal *rehearsal)
{
    int answer;
    ssize_t n;

    do {
        n = read(rehearsal->fd, &answer, sizeof(answer));
    } while (n < 0 && errno == EINTR);
    return n == sizeof(answer) ? answer : -ESRCH;
}

static void end_child(struct rehearsal *rehearsal)
{
    cleanup_close(&rehearsal->fd);
    rehearsal->fd = -1;
    if (rehearsal->pid <= 0)
        return;
    kill(rehearsal->pid, SIGKILL);
    while (waitpid(rehearsal->pid, NULL, __WCLONE) < 0 && errno == EINTR)
        ;
    rehearsal->pid = 0;
}

static int start_child(struct rehearsal *rehearsal, struct crs_error *err)
{
    const struct timeval patience = {.tv_sec = ANSWER_TIME_S};
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a socket pair");
    /* No signal at its end: the caller may count its children by SIGCHLD. */
    pid_t pid = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
    if (pid == 0) {
        close(pair[0]);
        rehearse(pair[1]);
    }
    close(pair[1]);
    rehearsal->fd = pair[0];
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    rehearsal->pid = pid;
    if (pid < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a child that tries calls");
    int answer = hear(rehearsal);
    if (answer != 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "the seccomp filter that this tool and the program live under lets nobody "
                        "find out which calls it kills for (%s)",
                        answer < 0 ? "it kills for asking" : strerror(answer));
    return 0;
}

int rehearsal_new(struct rehearsal **ret, struct crs_error *err)
{
    struct rehearsal *rehearsal = calloc(1, sizeof(*rehearsal));

    if (!rehearsal)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    rehearsal->fd = -1;
    int r = start_child(rehearsal, err);
    if (r < 0) {
        rehearsal_free(rehearsal);
        return r;
    }
    *ret = rehearsal;
    return 0;
}

void rehearsal_free(struct rehearsal *rehearsal)
{
    if (!rehearsal)
        return;
    end_child(rehearsal);
    free(rehearsal);
}

int rehearsal_try(struct tracee *t, const struct remote_call *call, struct crs_error *err)
{
    struct rehearsal *rehearsal = t->rehearsal;
    int r = rehearsal->pid > 0 ? 0 : start_child(rehearsal, err);

    if (r < 0)
        return r;
    if (send(rehearsal->fd, call, sizeof(*call), MSG_NOSIGNAL) == sizeof(*call) &&
        hear(rehearsal) == 0)
        return 0;
    end_child(rehearsal);
    return crs_fail(
        err, CRS_CANT_CHECKPOINT, ENOTSUP,
        "the seccomp filter that process %d has from its surroundings would kill it for "
        "a call of the checkpoint (number %ld): checkpoint it from outside, as root",
        t->pid, call->number);
}
