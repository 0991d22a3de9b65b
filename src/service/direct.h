/*
 * direct.h - a checkpoint in a helper process
 *
 * Between a thread's stop and the repair of the system call that the stop interrupted, the death of
 * the tracer would be seen by the program. So the tracer is no process that a user sees and kills:
 * a child in a session of its own, which the end of its parent makes cancel and go.
 */
#ifndef SERVICE_DIRECT_H
#define SERVICE_DIRECT_H

#include "base/error.h"

/* As crs_checkpoint(); progress, warnings and *options->cancel work as there. */
int direct_checkpoint(pid_t pid, const struct crs_checkpoint_options *options,
                      struct crs_checkpoint_result *ret, struct crs_error *err);

#endif
