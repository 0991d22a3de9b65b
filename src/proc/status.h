/*
 * status.h - /proc/PID/status and /proc/PID/task/TID/status: text in, struct out
 */
#ifndef PROC_STATUS_H
#define PROC_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_status {
    char name[64]; /* as the kernel shows it, with \n and \\ escaped */
    char state;    /* R S D T t Z X I */
    uint32_t umask;
    bool has_umask; /* a zombie has none */
    pid_t tgid, pid, parent, tracer;
    pid_t inner_tgid, inner_pid, inner_pgid, inner_sid; /* in the innermost PID namespace */
    uint32_t uid[4], gid[4];                            /* real, effective, saved, file system */
    uint32_t *groups;                                   /* owned */
    size_t n_groups;
    unsigned threads;
    uint64_t signals_pending, shared_pending, blocked, ignored, caught; /* bit 0: signal 1 */
    uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
    bool no_new_privs;
    unsigned seccomp; /* SECCOMP_MODE_* */
    bool shadow_stack;
    /* The thread has not changed how the processor speculates for it, though it may. */
    bool store_bypass_standard, indirect_branch_standard;
};

/* 0; -EINVAL when the text isn't of that file; -ENOMEM. */
int proc_status_parse(const char *text, struct proc_status *ret);
int proc_status_copy(const struct proc_status *status, struct proc_status *ret); /* -ENOMEM */
void proc_status_clear(struct proc_status *status);
#define _cleanup_proc_status_ __attribute__((cleanup(proc_status_clear)))

#endif
