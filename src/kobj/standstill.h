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
    struct tracee *processes[WATCHER_FDS];
    size_t n;
    struct watcher watcher;
};

/* All processes that hold a file of ctx and aren't stopped anyway. */
int standstill_begin(struct kobj_dump *ctx, struct standstill *s, struct crs_error *err);
int standstill_end(struct standstill *s, struct crs_error *err);

#endif
