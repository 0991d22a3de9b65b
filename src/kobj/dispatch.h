/*
 * dispatch.h - threads that intercept their own system calls (PR_SET_SYSCALL_USER_DISPATCH)
 *
 * A call made in such a thread may become a SIGSYS, which would undo the program's action on it.
 * So it is refused before the first call.
 */
#ifndef KOBJ_DISPATCH_H
#define KOBJ_DISPATCH_H

#include "tracee/tracee.h"

/* CRS_CANT_CHECKPOINT where a thread does. */
int kobj_dispatch_check(struct tracee *t, struct crs_error *err);

#endif
