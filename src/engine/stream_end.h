/*
 * stream_end.h - who reads what a checkpoint writes
 */
#ifndef ENGINE_STREAM_END_H
#define ENGINE_STREAM_END_H

#include "engine/tree.h"

/* A process that is to be saved must not be the one that reads the pipe which the snapshot goes to:
 * it stands still when it should read. CRS_CANT_CHECKPOINT. */
int stream_end_check(int stream_fd, const struct tree_founds *founds, struct crs_error *err);

#endif
