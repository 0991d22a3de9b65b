/*
 * collect.h - the record of a frozen process
 */
#ifndef ENGINE_COLLECT_H
#define ENGINE_COLLECT_H

#include "engine/memory.h"

/* The clocks as the process sees them (it may live in a time namespace): into ctx. */
int collect_clocks(struct kobj_dump *ctx, struct crs_error *err);

/* Everything of ctx->t but its memory's pages. *ret is freed by the caller. */
int collect_process(struct kobj_dump *ctx, struct memory_image *image, Crs__Process **ret,
                    struct crs_error *err);

/* The record files.pb from what ctx->files holds. */
int collect_files(struct kobj_dump *ctx, Crs__Files **ret, struct crs_error *err);

#endif
