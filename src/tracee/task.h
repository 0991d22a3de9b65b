/*
 * task.h - what /proc says of a thread; inside of this layer
 *
 * The freeze reads a few fields, quickly; the full readers are in src/proc.
 */
#ifndef TRACEE_TASK_H
#define TRACEE_TASK_H

#include "tracee/tracee.h"

#define PF_IO_WORKER 0x10 /* a thread of the kernel's io_uring: it has no user state */

/* The value of "NAME:\t..." in the text of a status file (last: the last of several); 0 when it
 * isn't there. */
long task_status_number(const char *text, const char *name, bool last);

/* The file task/TID/NAME of a process. -errno. */
int task_read(int proc_fd, pid_t tid, const char *name, struct bytes *ret);

/* The state letter, the flags and the last CPU of a thread: fields 3, 9 and 39 of its stat. */
int task_stat(int proc_fd, pid_t tid, char *ret_state, unsigned long *ret_flags, int *ret_cpu);

/* The status that a thread has ended with, as of wait(2): field 52. 0: can't be read. */
int task_exit_status(int proc_fd, pid_t tid);

enum task_call {
    TASK_IS_NONE,  /* nothing to hold: it has ended, or has no user state */
    TASK_RUNS,     /* in none: it may be in any by the time it is stopped */
    TASK_GIVES_UP, /* in one that gives up when it is interrupted */
    TASK_WAITS,    /* in one that the kernel, or the thread, makes again */
};

/* What a thread waits in, and how long it has; before it is stopped. */
enum task_call task_measure_waiting(int proc_fd, pid_t tid, struct arch_waiting *ret);

/* Right before the interruption: is it still in the sleep that was measured? Otherwise the measure
 * is forgotten: the call is a young one. The time of the look, for the next function. */
uint64_t task_confirm_waiting(int proc_fd, pid_t tid, struct arch_waiting *waiting);

/* After the stop: did it run between that look and the stop? The measure is forgotten then, too. */
void task_check_waiting(int proc_fd, pid_t tid, uint64_t confirmed_us, uint64_t interrupted_us,
                        struct arch_waiting *waiting);

/* What errnum of opening something in /proc/PID means: that there is no such process (any more: it
 * `has_ended`), or nothing about it, where we may not open any more. */
int task_not_there(pid_t pid, int errnum, bool has_ended, struct crs_error *err);

/* CRS_BUSY, in words, where a control group has frozen the process. */
int task_check_group(pid_t pid, int proc_fd, struct crs_error *err);

/* Why a thread that was told to stop doesn't, in words: always a failure. */
int task_explain_delay(struct tracee *t, pid_t tid, struct crs_error *err);

/* Why PTRACE_SEIZE (or another access) gave errnum, in words. */
int task_explain_refusal(struct tracee *t, int errnum, struct crs_error *err);

#endif
