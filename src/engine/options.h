/*
 * options.h - the options that a caller gives, whatever crs.h it was built with
 *
 * Structs of options grow at their end. A program built with an older crs.h gives a shorter one:
 * what it doesn't know keeps its default. One built with a newer crs.h gives a longer one: what we
 * don't know must be 0, as that is the default of every field, or the caller asks for something
 * that isn't done here.
 */
#ifndef ENGINE_OPTIONS_H
#define ENGINE_OPTIONS_H

#include <stddef.h>

#include "base/error.h"

/* Sizes of the first crs.h: their last fields were these. */
#define CHECKPOINT_OPTIONS_FIRST_SIZE offsetof(struct crs_checkpoint_options, scope)
#define RESTART_OPTIONS_FIRST_SIZE                                                                 \
    (offsetof(struct crs_restart_options, progress_arg) + sizeof(void *))

/*
 * Copy a struct of options, which begins with its size, into `ret`: a struct of `size` bytes with
 * all defaults. given NULL: the defaults. CRS_USAGE.
 */
int options_take(void *ret, size_t size, const void *given, size_t first_size,
                 struct crs_error *err);

#endif
