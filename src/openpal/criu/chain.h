/*
 * chain.h - images of the calling process that rest on earlier ones
 *
 * With the parameter pre_dump the memory is saved in rounds, each only what the program has changed
 * meanwhile, into folders of the snapshot; the process is stopped only for what is left. With
 * increments an image has only what has changed since the last snapshot, whose directory has then
 * to be kept: it is used where that is in the same place under another name, and is still there.
 */
#ifndef OPENPAL_CRIU_CHAIN_H
#define OPENPAL_CRIU_CHAIN_H

#include "openpal/criu/image.h"

/* image_dump() of the caller, after the rounds; `dump` without a parent. `directory` is where the
 * snapshot is made: what later ones see is its place when it is complete. */
int chain_save(struct image_dump *dump, const char *place, bool *ret_restored,
               struct crs_error *err);

/* The next image is a whole one. */
void chain_end(void);

#endif
