/*
 * relocate.h - a loaded snapshot, for files that are somewhere else now
 */
#ifndef ENGINE_RELOCATE_H
#define ENGINE_RELOCATE_H

#include "engine/snapshot.h"
#include "kobj/relocate.h"

/* Change the paths in the records. r->pairs is set; r->moved tells what was changed, for
 * relocate_explain(). Nothing is looked for. */
int relocate_loaded(const struct loaded *loaded, struct kobj_relocating *r, struct crs_error *err);

/* A failure that is about a path which was changed: add what it was and by which pair. Returns
 * `ret`. */
int relocate_explain(const struct kobj_relocating *r, int ret, struct crs_error *err);

#endif
