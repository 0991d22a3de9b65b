/*
 * sysv.h - System V semaphores and message queues of a program's own IPC namespace
 *
 * All that is there is the program's, and ends with the namespace; so all of it is saved with the
 * first process, and made again in the namespace that a restart makes.
 */
#ifndef KOBJ_SYSV_H
#define KOBJ_SYSV_H

#include <sys/ipc.h>

#include "kobj/kobj.h"
#include "sysv_ipc.pb-c.h"

#define SYSV_SEMAPHORE_MAX 32767 /* SEMVMX of the kernel; of an adjustment, too */

/* ---- asked inside of the namespace ---- */

/* All sets, queues (with their messages) and limits into the record. */
int sysv_save_semaphores(Crs__SysvIpc *m, struct crs_error *err);
int sysv_save_queues(Crs__SysvIpc *m, struct crs_error *err);
int sysv_save_limits(Crs__SysvIpc *m, struct crs_error *err);

/* The IDs that /proc/sysvipc/NAME lists, in ascending order; the caller frees. */
int sysv_list(const char *name, int **ret_ids, size_t *ret_n, struct crs_error *err);
/* Owner, mode and key. NULL: out of memory. */
Crs__SysvObject *sysv_save_object(int id, const struct ipc_perm *perm);

/* ---- made in the new one ---- */

/* What a namespace could not have: before anything is started. */
int sysv_check_record(const Crs__SysvIpc *m, struct crs_error *err);
int sysv_make_semaphores(const Crs__SysvIpc *m, struct crs_error *err);
int sysv_make_queues(struct kobj_restore *ctx, const Crs__SysvIpc *m, struct crs_error *err);
void sysv_set_limits(struct kobj_restore *ctx, const Crs__SysvIpc *m);

/* Where the kernel lets us, the next object of that sort ("sem", "msg", "shm") gets this ID. */
bool sysv_choose_id(const char *sort, uint32_t id);
/* make(arg) until it gives that ID; what has another one goes by remove_object(). -errno. */
int sysv_make_object(const char *sort, uint32_t id, int (*make)(const void *arg), const void *arg,
                     void (*remove_object)(int id));
/* The owner and mode of the record, as an argument of IPC_SET. */
void sysv_set_object(const Crs__SysvObject *object, struct ipc_perm *perm);

/* ---- SEM_UNDO (sysv_undo.c) ---- */

/* What ctx->t has promised to undo in the sets of `all`, into the record. */
int sysv_save_undos(struct kobj_dump *ctx, const Crs__SysvIpc *all, Crs__SysvIpc *m,
                    struct crs_error *err);
int sysv_make_undos(struct kobj_restore *ctx, const Crs__SysvIpc *all, const Crs__SysvIpc *m,
                    struct crs_error *err);

#endif
