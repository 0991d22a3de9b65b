/* victim_seccomp.h - filters that forbid one call, or all but a few */
#ifndef VICTIM_SECCOMP_H
#define VICTIM_SECCOMP_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "victim.h"

#define FILTER_NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define FILTER_ALLOW(number)                                                                       \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1),                                           \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define FILTER_ERROR(number, error)                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1),                                           \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define FILTER_END(action) BPF_STMT(BPF_RET | BPF_K, (action))

/* What victim_wait() and the C library's threads need, and not a call more: neither getpid nor
 * rt_sigreturn nor restart_syscall. */
#define FILTER_VICTIM_CALLS                                                                        \
    FILTER_ALLOW(SYS_openat), FILTER_ALLOW(SYS_read), FILTER_ALLOW(SYS_write),                     \
        FILTER_ALLOW(SYS_close), FILTER_ALLOW(SYS_access), FILTER_ALLOW(SYS_faccessat),            \
        FILTER_ALLOW(SYS_rename), FILTER_ALLOW(SYS_clock_nanosleep), FILTER_ALLOW(SYS_prctl),      \
        FILTER_ALLOW(SYS_futex), FILTER_ALLOW(SYS_exit), FILTER_ALLOW(SYS_exit_group)

/* victim_ready() asks for the PID, which a filter may not allow: it is given here. */
static inline void filter_ready(pid_t pid)
{
    char text[32];

    snprintf(text, sizeof(text), "%d\n", (int)pid);
    victim_put("ready", text);
}

static inline int filter_install(struct sock_filter *code, size_t n, unsigned flags)
{
    struct sock_fprog program = {n, code};

    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}
#define FILTER_INSTALL(code, flags) filter_install(code, sizeof(code) / sizeof((code)[0]), flags)

#endif
