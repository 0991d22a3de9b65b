/*
 * lazy_start.h - from armed address spaces to their server; inside of lazy*.c
 */
#ifndef ENGINE_LAZY_START_H
#define ENGINE_LAZY_START_H

#include "engine/lazy.h"
#include "engine/lazy_space.h"

/* lazy_plan.c: the chunks that come later, and where. Arrays of *source are the caller's, also on
 * failure. -ENOMEM. */
int lazy_list(const Crs__AddressSpace *space, const struct lazy_part *part,
              struct lazy_source *source);

/* The chunks that come later are the server's to bring. Takes part->uffd over. */
int lazy_add(struct lazy *lazy, const Crs__AddressSpace *space, struct lazy_part *part,
             struct crs_error *err);

#endif
