/*
 * freeze_how.h - when the memory of a checkpoint is copied: what was asked for, and what is worth
 * it
 */
#ifndef ENGINE_FREEZE_HOW_H
#define ENGINE_FREEZE_HOW_H

#include "engine/checkpoint.h"
#include "engine/memory.h"

/* Before the freeze: what is copied while the program runs. Nothing, if the freeze will hardly let
 * the checkpoint pass: *ret_doubt has what is in the way, for freeze_fork_rest(). */
int freeze_copy_ahead(const struct checkpoint_request *request, struct memory_set *set,
                      struct kobj_dump *ctx, uint64_t deadline_us, struct crs_error *ret_doubt,
                      struct crs_error *err);

/* In the freeze, when all is planned: what is left may be read from copies of the processes. What
 * was changed in them is taken back. */
int freeze_fork_rest(const struct checkpoint_request *request, struct memory_set *set,
                     struct tree *members, const struct crs_error *doubt, struct crs_error *err);

#endif
