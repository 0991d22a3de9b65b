/*
 * rehearsal.h - would a seccomp filter that we live under kill for a call?
 *
 * A child of ours makes the call, with the very same arguments, under one more filter of its own
 * that lets no call happen. The kernel asks all filters and takes the strictest answer: where one
 * of them kills or sends SIGSYS the child dies, otherwise nothing happens.
 */
#ifndef TRACEE_REHEARSAL_H
#define TRACEE_REHEARSAL_H

#include "tracee/tracee.h"

struct rehearsal;

int rehearsal_new(struct rehearsal **ret, struct crs_error *err);
/* NULL: nothing happens. */
void rehearsal_free(struct rehearsal *rehearsal);

/* CRS_CANT_CHECKPOINT with words where the call would be deadly to `t`. */
int rehearsal_try(struct tracee *t, const struct remote_call *call, struct crs_error *err);

#endif
