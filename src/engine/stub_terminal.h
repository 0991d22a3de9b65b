/*
 * stub_terminal.h - controlling terminals of the sessions that stubs make
 */
#ifndef ENGINE_STUB_TERMINAL_H
#define ENGINE_STUB_TERMINAL_H

#include "engine/stub_tree.h"

/* Member i has just made its session, and no process for it yet: it takes the session's terminal,
 * if that is one of the program's own (kobj_open_terminals()). */
int stub_terminal_take(struct stub_tree *tree, const struct kobj_restore *ctx, size_t i,
                       struct crs_error *err);

/* All processes and groups are made: the saved ones into the foreground of these terminals. */
int stub_terminals_give(struct stub_tree *tree, const struct kobj_restore *ctx,
                        struct crs_error *err);

#endif
