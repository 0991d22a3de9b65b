/*
 * checkpoint_writer.h - where a checkpoint is written to
 */
#ifndef ENGINE_CHECKPOINT_WRITER_H
#define ENGINE_CHECKPOINT_WRITER_H

#include "crs.h"
#include "store/store.h"

/* Chooses the path, and the name where it is in the store, into *ret; opens the writer, with the
 * pace and the key that the options ask for. On failure there may be a path and a name as well. */
int checkpoint_open_writer(pid_t pid, const struct crs_checkpoint_options *options,
                           uint64_t deadline_us, struct crs_checkpoint_result *ret,
                           struct store_writer **ret_writer, struct crs_error *err);

#endif
