/*
 * libcr.h - BLCR's interface for programs that take part in their checkpoints
 *
 * Purpose: ask for checkpoints and restarts; run functions of the program (callbacks) around
 * them; hold them off for a while (critical sections). The functions are those of BLCR's libcr
 * 0.5. The work is done by another process, from user space: no kernel module, no root. The
 * program to ask for a checkpoint with, crs-request, is looked for in the directory that the
 * environment's CRS_LIBEXEC names, else in libexecdir/opencrs of the installation.
 *
 * Calling sequence: each thread that calls anything but a request calls cr_init() once before.
 * Requests are made with arguments that an initializer has filled, give a handle, and end with
 * the call that reaps it.
 *
 * Errors: unless another thing is said, functions return 0, or -1 with errno set to a value of
 * errno.h or to a CR_E* code; cr_strerror() has the words for both.
 *
 * Threads: every function may be called by any thread. A process that was made by fork() has no
 * callbacks, no hooks and no critical section, and its thread calls cr_init() again; handles go on
 * to work in it.
 *
 * Signals: only what is marked so may be called by a signal handler. No signal is used: handlers of
 * all signals, of CR_SIGNUM too, are the program's. A checkpoint doesn't interrupt calls with
 * EINTR, nor does it show in SIGCHLD, wait() or the descriptors of the process. (A process that is
 * a child subreaper, or PID 1, inherits orphans: it may have crs-request as a child.)
 *
 * Yama: where kernel.yama.ptrace_scope is 1, the library allows (PR_SET_PTRACER) that any process
 * of the same user holds this one. A non-empty LIBCR_DISABLE_PTRACER in the environment switches
 * that off; then only its ancestors and root can.
 *
 * BLCR's LIBCR_DISABLE_NSCD has no meaning here: the C library offers no way any more to switch
 * its name service cache off, and the maps of that are saved as those of any file.
 */
#ifndef LIBCR_H
#define LIBCR_H

#include <sys/time.h>
#include <sys/types.h>

#include "blcr_common.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

typedef int cr_version_t;
typedef int cr_client_id_t;
typedef int cr_callback_id_t;
typedef unsigned int cr_spinlock_t;
typedef int (*cr_callback_t)(void *);

/* Opaque. No value of a handle, cast to int, is a descriptor. */
typedef unsigned long cr_checkpoint_handle_t;
typedef unsigned long cr_restart_handle_t;

/* ---- set-up ---- */

/*
 * Before anything else in each thread, but requests. Returns an ID, 0 or more, for critical
 * sections; more calls by the same thread are allowed and give other IDs. Not for signal handlers.
 * Errors: ENOMEM.
 */
cr_client_id_t cr_init(void);

/* As strerror(), and knows the CR_E* codes. */
const char *cr_strerror(int errnum);

/* ---- requests for checkpoints: by any thread, without cr_init() ---- */

#define CR_CHECKPOINT_ARGS_VERSION 1

typedef struct {
    cr_version_t cr_version; /* set by the initializer */
    cr_scope_t cr_scope;     /* to be set: there is no default */
    pid_t cr_target;         /* which process, group or session; 0: the caller's own */
    int cr_fd;     /* to be set: where to write to. A file with one name, a pipe, a socket, a
                      character device; a directory: context.PID is made in it. The request has it
                      for itself: the caller may close it at once. */
    int cr_signal; /* sent to each process after its callbacks; 0: none; negative: its absolute
                      value, before the callbacks */
    unsigned int cr_timeout; /* in seconds, then the checkpoint is given up; 0: no limit */
    unsigned int cr_flags;   /* CR_CHKPT_* */
} cr_checkpoint_args_t;

/* Fills in the defaults. 0, or -1 with EINVAL (an unknown version) or EFAULT (NULL). */
#define cr_initialize_checkpoint_args_t(args)                                                      \
    cri_init_checkpoint_args_t(CR_CHECKPOINT_ARGS_VERSION, (args))
int cri_init_checkpoint_args_t(cr_version_t version, cr_checkpoint_args_t *args);

/*
 * Begins a checkpoint and returns as soon as its processes are known and taken. `*handle` is set
 * on success only, and is to be reaped.
 * Errors: ESRCH nobody is in the scope; EPERM not allowed; EBUSY somebody in it is being
 * checkpointed already; EDEADLK (CR_CHKPT_PROHIBIT_SELF); CR_ENOSUPPORT, CR_EPTRACED, CR_EPTRACER;
 * EBADF, EINVAL the descriptor or another field; EMLINK the file has several names; ENOSYS
 * crs-request isn't installed; EIO it died; ENOMEM, EAGAIN, EMFILE.
 */
int cr_request_checkpoint(cr_checkpoint_args_t *args, cr_checkpoint_handle_t *handle);

/*
 * Waits until the request has ended, or for `timeout` (NULL: without limit), which is lowered by
 * the time that went by, as select() does. Returns 1, or 0 when the time is over.
 * Errors: EINVAL no such handle, or timeout; EINTR a signal handler ran; EFAULT handle is NULL.
 */
int cr_wait_checkpoint(cr_checkpoint_handle_t *handle, struct timeval *timeout);

/*
 * The messages of an ended request: copies up to `size` bytes of them with their final NUL to
 * `text`, and returns how many there are in all; 0: there are none. May be called again.
 * Errors: EAGAIN it has not ended; EINVAL no such handle; EFAULT.
 */
int cr_log_checkpoint(cr_checkpoint_handle_t *handle, unsigned int size, char *text);

/*
 * The result of an ended request. Frees it, and makes `*handle` -1. Returns a positive number when
 * the checkpoint succeeded.
 * Errors: EAGAIN it has not ended (the handle stays); EINVAL no such handle; CR_ERESTARTED this is
 * the restarted process, whose request had succeeded; CR_ETEMPFAIL, CR_EPERMFAIL or a callback's
 * own code; CR_EOMITTED; ESRCH all processes were left out, or have ended; ENOSPC, ETIMEDOUT, EIO
 * ...
 */
int cr_reap_checkpoint(cr_checkpoint_handle_t *handle);

/*
 * cr_wait_checkpoint(), then the messages (where `msg` isn't NULL: `*msg` is set to a copy that
 * the caller frees, or NULL), then cr_reap_checkpoint(). Returns 0 when the time is over, a
 * positive number on success, or one of CR_POLL_CHKPT_ERR_*: the wait failed (PRE; the handle
 * stays), the request failed (POST), the messages could not be had (LOG; the handle stays).
 */
#define CR_POLL_CHKPT_ERR_PRE  (-1)
#define CR_POLL_CHKPT_ERR_POST (-2)
#define CR_POLL_CHKPT_ERR_LOG  (-3)
int cr_poll_checkpoint_msg(cr_checkpoint_handle_t *handle, struct timeval *timeout, char **msg);
int cr_poll_checkpoint(cr_checkpoint_handle_t *handle, struct timeval *timeout);

/* ---- requests for restarts: the same, but the result is the PID of the restarted root ---- */

#define CR_RESTART_ARGS_VERSION 1

typedef struct {
    cr_version_t cr_version;
    int cr_fd;             /* to be set: the context file; may be closed after the request */
    int cr_signal;         /* sent to each process after its callbacks; 0: none */
    unsigned int cr_flags; /* CR_RSTRT_*; the default is CR_RSTRT_RESTORE_PID */
    struct cr_rstrt_relocate *cr_relocate; /* read by the request only; NULL: nothing has moved */
} cr_restart_args_t;

#define cr_initialize_restart_args_t(args) cri_init_restart_args_t(CR_RESTART_ARGS_VERSION, (args))
int cri_init_restart_args_t(cr_version_t version, cr_restart_args_t *args);

/*
 * The restarted root becomes a child of the caller's process, to be waited for. Nobody needs to
 * wait for the request, or reap it. Reap and poll return the root's PID.
 * Errors beside those above: EBUSY an ID is in use; EINVAL, EIO the file is damaged, or too short;
 * CR_EBADARCH, CR_EVERSION; CR_ERSTRTABRT a callback failed.
 */
int cr_request_restart(cr_restart_args_t *args, cr_restart_handle_t *handle);
int cr_wait_restart(cr_restart_handle_t *handle, struct timeval *timeout);
int cr_log_restart(cr_restart_handle_t *handle, unsigned int size, char *text);
int cr_reap_restart(cr_restart_handle_t *handle);
#define CR_POLL_RSTRT_ERR_PRE  (-1)
#define CR_POLL_RSTRT_ERR_POST (-2)
#define CR_POLL_RSTRT_ERR_LOG  (-3)
int cr_poll_restart_msg(cr_restart_handle_t *handle, struct timeval *timeout, char **msg);
int cr_poll_restart(cr_restart_handle_t *handle, struct timeval *timeout);

/* ---- callbacks ---- */

/* In which context a callback runs; exactly one. */
#define CR_THREAD_CONTEXT 0x4000000 /* in a thread of the library's own */
#define CR_SIGNAL_CONTEXT 0x2000000 /* in the thread that registered it, as a signal handler */
#define CR_MAX_CALLBACKS  0x1FFFFFF /* of the process' thread context, or of one thread */

/*
 * A checkpoint of a process runs its callbacks before and after: first all those of thread context
 * until each has called cr_checkpoint(), then those of signal context, in all threads at the same
 * time. Of one context (and thread) the last registered begins: its cr_checkpoint() runs the one
 * before it, and so on; the innermost call is the checkpoint. A callback that returns without that
 * call has it made for it. A callback returns 0; any other value after a checkpoint is a fault
 * that ends the process, and after a restart the whole job. All signals are blocked in callbacks.
 *
 * The thread for thread context is made by the first registration. It is a thread like others: it
 * keeps a process alive whose main() has ended by pthread_exit().
 *
 * Returns an ID (in signal context the calling thread's own). Errors: CR_ENOINIT; EINVAL flags or
 * func; EBUSY in a callback; ENOSPC too many; ENOMEM, EAGAIN. Waits while a checkpoint is pending.
 */
cr_callback_id_t cr_register_callback(cr_callback_t func, void *arg, int flags);

/* Puts another one in its place; NULL: none. `flags` is the context that it was registered with.
 * Errors: CR_ENOINIT; EINVAL; EBUSY in a callback. */
int cr_replace_callback(cr_callback_id_t id, cr_callback_t func, void *arg, int flags);

/* The same for the running callback, by itself. Errors: CR_ENOTCB; EINVAL. */
int cr_replace_self(cr_callback_t func, void *arg, int flags);

/* What a callback says by cr_checkpoint(). */
#define CR_CHECKPOINT_READY        0
#define CR_CHECKPOINT_TEMP_FAILURE 1 /* not now: the whole request is cancelled */
#define CR_CHECKPOINT_PERM_FAILURE 2 /* never: and all its processes are killed */
#define CR_CHECKPOINT_OMIT         4 /* without this process */
#define CR_CHECKPOINT_ABORT_MASK   7
#define _CR_CHECKPOINT_STUB        0x4000 /* not for programs */

/* With a code of the program's own, 1 to 65535, which becomes the request's errno. */
#define CR_CHECKPOINT_TEMP_FAILURE_CODE(code) (CR_CHECKPOINT_TEMP_FAILURE | ((code) << 16))
#define CR_CHECKPOINT_PERM_FAILURE_CODE(code) (CR_CHECKPOINT_PERM_FAILURE | ((code) << 16))

/*
 * By a callback, once. Everything but READY skips the remaining callbacks of its context (and
 * thread). Returns 0: the program goes on after a checkpoint; more: after a restart (the PID of
 * who asked for it, or 1 where that can't be seen); less: there was none, -CR_ETEMPFAIL or
 * -CR_EPERMFAIL or minus the code, -CR_EOMITTED, -ECANCELED (who made the checkpoint has died),
 * -CR_ENOTCB (not by a callback, or again), -EINVAL (flags). errno isn't used.
 */
int cr_checkpoint(int flags);

/*
 * By a callback, before cr_checkpoint(): more processes for the request. Each is in it once,
 * however often it is named; all of them, or none.
 * Errors: CR_ENOTCB; EINVAL; ESRCH; EPERM; EBUSY; EDEADLK; CR_ENOSUPPORT; ECANCELED.
 */
int cr_forward_checkpoint(cr_scope_t scope, pid_t target);

/* By a callback, before cr_checkpoint(); else NULL. Valid until the callback returns. IDs are 0
 * where the process can't see them. */
struct cr_checkpoint_info {
    int signal;       /* that will be sent; 0: none */
    const char *dest; /* the file, "DIRECTORY/." or "" where it has no name */
    pid_t requester;
    pid_t target;
    cr_scope_t scope;
};
const struct cr_checkpoint_info *cr_get_checkpoint_info(void);

/* By a callback, after cr_checkpoint() has returned more than 0; else NULL. The requester's ID is
 * that which it knows of itself, even where this process can't see it. */
struct cr_restart_info {
    pid_t requester;
    const char *src; /* the context file; "" where it has no name */
};
const struct cr_restart_info *cr_get_restart_info(void);

/* ---- critical sections: no checkpoint while any thread of the process is in one ---- */

#define CR_ID_CALLBACK (-1) /* for callbacks, in which sections need nothing and do nothing */

/*
 * May be nested, and called by signal handlers. A section that isn't nested waits while a
 * checkpoint is pending. `id` is cr_init()'s. tryenter returns a positive number where enter
 * would wait. When the last section is left, a pending checkpoint is taken before leave returns.
 * A section ends with its thread.
 * Errors: CR_ENOINIT; EINVAL leave without enter.
 */
int cr_enter_cs(cr_client_id_t id);
int cr_tryenter_cs(cr_client_id_t id);
int cr_leave_cs(cr_client_id_t id);

#define CR_STATE_IDLE    0
#define CR_STATE_PENDING 1 /* there is a request for this process */
#define CR_STATE_ACTIVE  2 /* this is one of its callbacks */

/* One of CR_STATE_*, or -1 with CR_ENOINIT. May be called by signal handlers. */
int cr_status(void);

/* ---- hooks and holds ---- */

/* After a checkpoint or restart, in each thread that runs callbacks of thread context, of signal
 * context, or none. */
typedef enum {
    CR_HOOK_CONT_SIGNAL_CONTEXT = 0,
    CR_HOOK_CONT_THREAD_CONTEXT = 1,
    CR_HOOK_CONT_NO_CALLBACKS = 2,
    CR_HOOK_RSTRT_SIGNAL_CONTEXT = 3,
    CR_HOOK_RSTRT_THREAD_CONTEXT = 4,
    CR_HOOK_RSTRT_NO_CALLBACKS = 5,
    CR_NUM_HOOKS = 6
} cr_hook_event_t;
typedef void (*cr_hook_fn_t)(cr_hook_event_t event);
#define CR_HOOK_FN_ERROR ((cr_hook_fn_t)~0UL)

/*
 * One function for each event in the process; NULL: none. It runs after the thread's callbacks,
 * in the same context. Returns the one before, or CR_HOOK_FN_ERROR.
 * Errors: CR_ENOINIT; EINVAL; EBUSY in a callback.
 */
cr_hook_fn_t cr_register_hook(cr_hook_event_t event, cr_hook_fn_t func);

/* Whether a thread waits, after its own callbacks, for the end of all others' of the process. */
#define CR_HOLD_READ  (-1) /* change nothing */
#define CR_HOLD_NONE  0
#define CR_HOLD_CONT  1 /* after a checkpoint, also after one that failed */
#define CR_HOLD_RSTRT 2
#define CR_HOLD_BOTH  3
#define CR_HOLD_DFLT  4 /* of a thread: what holds for all threads that called cr_init() */

#define CR_HOLD_SCOPE_THREAD 0 /* the calling thread; at first CR_HOLD_DFLT */
#define CR_HOLD_SCOPE_INIT   1 /* all threads that called cr_init(); at first CR_HOLD_BOTH */
#define CR_HOLD_SCOPE_UNINIT 2 /* all others; at first CR_HOLD_BOTH */

/*
 * Returns the value before. Nobody is held for more than 10 seconds by a callback that doesn't
 * end (or waits for a lock that a held thread has).
 * Errors: CR_ENOINIT; EINVAL.
 */
int cr_hold_ctrl(int scope, int flags);

/*
 * While a thread ends, the library's data of it is given up by the destructor of thread-specific
 * data; for those of the program that run later and call this library, a use count above 0 keeps
 * it. Return the count before. Errors: CR_ENOINIT; ERANGE.
 */
int cr_inc_persist(void);
int cr_dec_persist(void);

/* ---- locks by busy waiting; may be used by signal handlers ---- */

#define CR_SPINLOCK_INITIALIZER 0U

void cr_spinlock_init(cr_spinlock_t *lock);
void cr_spinlock_lock(cr_spinlock_t *lock);
int cr_spinlock_trylock(cr_spinlock_t *lock); /* not 0: it was free, and is the caller's now */
void cr_spinlock_unlock(cr_spinlock_t *lock);

/* ---- deprecated ---- */

/*
 * A checkpoint of the calling process alone, into context.PID in the working directory (mode
 * 0600), a file, or a descriptor. They return when it was taken; in a critical section at once, and
 * it is taken when that is left; in a callback they do nothing (EBUSY). errno is 0 after success;
 * CR_ERESTARTED in the restarted process.
 */
void cr_request(void) _CR_DEPRECATED;
void cr_request_file(const char *filename) _CR_DEPRECATED;
void cr_request_fd(int fd) _CR_DEPRECATED;

/* For `-u cr_link_me`: links libcr.a although nothing of it is called. (For the shared library:
 * -Wl,--no-as-needed, where the linker leaves out what is not needed.) */
extern const int cr_link_me;

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
