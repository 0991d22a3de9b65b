/*
 * stub_tree.h - the stubs of all processes of a snapshot
 *
 * Made while they are tiny, each by the process that the lineage names, with the saved parents,
 * sessions and process groups. Then they are built up one by one.
 */
#ifndef ENGINE_STUB_TREE_H
#define ENGINE_STUB_TREE_H

#include "engine/lineage.h"
#include "engine/stub.h"
#include "kobj/kobj.h"

struct stub_tree {
    struct lineage lineage;
    struct tracee **stubs; /* by member; NULL: not made yet, or has ended */
    uint32_t *exe;         /* by member: the executable that its stub is of, MappedFile.id */
    uint64_t *stray;       /* by member: signals that only the making of its children has sent */
    size_t n_processes;    /* the first members: those of the snapshot */
};

struct stub_tree_options {
    struct lineage_options lineage;
    bool choose_pids; /* the saved ones, not any */
    int service_fd;   /* see struct stub_options */
    int remote_service_fd;
};

/*
 * Make all of them, with their threads; then end the helpers, and those that have ended. ctx has
 * its files open (memory_open_files()). On failure *tree is to be killed and cleared all the same.
 */
int stub_tree_make(struct stub_tree *tree, struct kobj_restore *ctx,
                   const struct stub_tree_options *options, struct crs_error *err);

/* A member whose properties are not restored yet: drop the signals that its children's ends and
 * stops have sent it. */
int stub_tree_drop_stray(struct stub_tree *tree, size_t i, struct crs_error *err);

/* Stop a complete member again. `reported`: its parent knows. The parent is not complete yet. */
int stub_tree_stop(struct stub_tree *tree, size_t i, bool reported, struct crs_error *err);

void stub_tree_kill(struct stub_tree *tree);
void stub_tree_clear(struct stub_tree *tree);

#endif
