/*
 * increment.h - the older snapshot that a new one shares packs with
 */
#ifndef ENGINE_INCREMENT_H
#define ENGINE_INCREMENT_H

#include "base/error.h"
#include "store/store.h"

/*
 * Before anything is written: the base that was asked for, or the newest complete one of the name
 * that the snapshot gets, NAME@SEQ (NULL: it isn't in a store). Without one it is full, with a
 * warning where there should have been one. *ret_base: its words, NULL: none; to be freed.
 */
int increment_begin(const struct crs_checkpoint_options *options, const char *own,
                    struct store_writer *w, char **ret_base, struct crs_error *err);

#endif
