/*
 * standstill.h - the program stays stopped, even when the tool is killed
 *
 * What ptrace holds goes on when the tool is killed. Where that must not be, in the middle of a
 * shelter(), the processes are also sent SIGSTOP, which takes effect only then. A watcher sends
 * SIGCONT when the shelter has ended; if the tool lives, the signal is taken away unseen.
 */
#ifndef KOBJ_STANDSTILL_H
#define KOBJ_STANDSTILL_H

#include "kobj/kobj.h"
#include "kobj/watcher.h"

struct standstill {
    ARRAY_OF(struct tracee *) processes;
    struct watcher watcher;
};

/* All processes that could touch one of these files (our duplicates of them), but for those that
 * are stopped anyway. */
int standstill_begin(struct kobj_dump *ctx, const int *fds, size_t n_fds, struct standstill *s,
                     struct crs_error *err);
int standstill_end(struct standstill *s, struct crs_error *err);

#endif
