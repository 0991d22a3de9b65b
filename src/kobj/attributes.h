/*
 * attributes.h - what the kinds of process and thread properties share
 */
#ifndef KOBJ_ATTRIBUTES_H
#define KOBJ_ATTRIBUTES_H

#include "kobj/kobj.h"
#include "proc/status.h"

/* The payload as a message: *ret is freed by protobuf_c_message_free_unpacked(). */
int kobj_unpack(const ProtobufCMessageDescriptor *descriptor, const struct bytes *payload,
                void *ret, struct crs_error *err);

static inline void cleanup_message(void *p)
{
    ProtobufCMessage *message = *(ProtobufCMessage **)p;

    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}
#define _cleanup_message_ _cleanup_(cleanup_message)

/* /proc/PID/NAME of a held process as text; a vanished process is -ESRCH. */
int kobj_read_proc(struct tracee *t, struct bytes *ret, struct crs_error *err, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));

/* A file of one record (stat, status) in /proc/PID/task/TID. */
int kobj_read_task(struct tracee_thread *thread, const char *name, struct bytes *ret,
                   struct crs_error *err);

/* /proc/PID/task/TID/status of a thread; of one that is held to be saved, as it was when this was
 * first asked. What may arrive while it stands still (signals) needs it as it is now. */
int kobj_read_status(struct tracee_thread *thread, struct proc_status *ret, struct crs_error *err);
int kobj_read_status_now(struct tracee_thread *thread, struct proc_status *ret,
                         struct crs_error *err);

/* The working directory of a thread: its path, *ret_deleted: that was removed. The caller frees. */
int kobj_read_cwd(struct tracee_thread *thread, char **ret, bool *ret_deleted,
                  struct crs_error *err);
/* Let a thread go there. */
int kobj_enter_cwd(struct kobj_restore *ctx, struct tracee_thread *thread, const char *path,
                   bool deleted, struct crs_error *err);

/* Make sure that owner->scratch can be used. */
int kobj_need_scratch(struct tracee_thread *thread, struct crs_error *err);

/*
 * Run calls[0..n), each with its own block of memory passed by pointer in argument `pointer_arg`:
 * blocks of `in` go there before, come back into `out` after; either may be NULL.
 */
int kobj_call_blocks(struct tracee_thread *thread, struct remote_call *calls, size_t n,
                     int pointer_arg, const void *in, void *out, size_t block_size,
                     struct crs_error *err);

/* Did the call fail in the kernel? */
static inline bool kobj_call_failed(int64_t result)
{
    return result < 0 && result >= -4095;
}

#define KOBJ_WARN(ctx, ...) kobj_warn((ctx)->progress, (ctx)->progress_arg, __VA_ARGS__)

/* ---- the rows of the tables ---- */

extern const struct kobj_process_kind kobj_sharing, kobj_namespaces, kobj_sysv_ipc, kobj_root,
    kobj_credentials, kobj_rlimits, kobj_cwd, kobj_umask, kobj_oom_score_adj, kobj_coredump_filter,
    kobj_process_prctl, kobj_vector_permission, kobj_sigactions, kobj_itimers, kobj_posix_timers,
    kobj_pending_signals, kobj_seccomp, kobj_aio, kobj_ldt;
extern const struct kobj_thread_kind kobj_shadow_stack, kobj_comm, kobj_personality,
    kobj_scheduling, kobj_ioprio, kobj_thread_prctl, kobj_altstack, kobj_tid_address,
    kobj_robust_list, kobj_rseq, kobj_memory_policy, kobj_dispatch, kobj_thread_directory,
    kobj_thread_pending_signals;

#endif
