/*
 * collect.h - the records of frozen processes
 */
#ifndef ENGINE_COLLECT_H
#define ENGINE_COLLECT_H

#include "engine/memory.h"
#include "engine/tree.h"

/* The clocks as the process sees them (it may live in a time namespace): into ctx. */
int collect_clocks(struct kobj_dump *ctx, struct crs_error *err);

/* Everything of the members but their memory's pages, into record->processes. ctx->members are
 * those of the tree's that are held, in the same order. */
int collect_tree(const struct tree *tree, struct kobj_dump *ctx, struct memory_set *memory,
                 Crs__Tree *record, struct crs_error *err);

/* The record files.pb from what ctx->files holds. */
int collect_files(struct kobj_dump *ctx, Crs__Files **ret, struct crs_error *err);

#endif
