/*
 * later.h - calls of a restored thread that need not be made at once
 *
 * Purpose: a call by itself takes stops of the thread, many together take one. What kinds of
 * thread properties set by a call, and nothing else builds on, is put on a list.
 *
 * Calling sequence: kobj_call_later() from a thread kind's restore(); kobj_restore_thread() makes
 * the calls when all kinds have had their turn, in the order of the list, and has each outcome
 * looked at.
 */
#ifndef KOBJ_LATER_H
#define KOBJ_LATER_H

#include "kobj/attributes.h"

struct kobj_later {
    struct remote_call call;
    int block_arg;     /* this argument points to the block, which is copied; */
    const void *block; /* NULL: there is none */
    size_t block_size;
    /* Look at call.result. NULL: that it failed is a failure, in the words "can't WHAT". */
    int (*outcome)(struct kobj_restore *ctx, struct tracee_thread *thread,
                   const struct kobj_later *later, struct crs_error *err);
    const char *what;
    const char *title; /* set by who walks the kinds */
};

int kobj_call_later(struct kobj_restore *ctx, struct tracee_thread *thread,
                    const struct kobj_later *later, struct crs_error *err);

/* Make the calls on the list; the failure of one is told with its kind's title and the thread's
 * number in the snapshot. */
int kobj_make_calls(struct kobj_restore *ctx, struct tracee_thread *thread, uint32_t tid,
                    struct crs_error *err);

void kobj_later_free(struct kobj_restore *ctx);

#endif
