/*
 * tree.h - the processes that a checkpoint takes: found and held, none missed
 *
 * A process is looked for while its parent stands still, until a whole pass finds none new while
 * all known ones stand still. A parent is held before its children: one that is inside of vfork(2)
 * stands still only when its child has gone on to exec or to its end.
 *
 * The tool itself may be among them (a script that asks for its own checkpoint): it is left alone,
 * and saved as a process that has ended with success, which is what its parent waits for.
 */
#ifndef ENGINE_TREE_H
#define ENGINE_TREE_H

#include "crs.h"
#include "tracee/tracee.h"

struct tree_member {
    pid_t pid;           /* all IDs are as we see them */
    pid_t parent;        /* may be no member */
    pid_t parent_thread; /* the thread that made it, by its ID; 0: not known */
    pid_t group, session;
    int exit_signal;
    struct tracee *t; /* owned; NULL: it has ended and was not waited for, or is the tool */
    bool tool;
    bool whole;     /* its descendants belong, too: of a choice's members only */
    bool left_out;  /* likewise: it runs on, and isn't one when the tree is frozen */
    unsigned depth; /* 0: its parent is no member */
};

struct tree_place {
    pid_t pid;
    size_t member;
};

struct tree_found;

/* A process with what its scope says; with CRS_GROUP and CRS_SESSION `id` is that of the group or
 * session, whose leader may be gone. */
struct tree_root {
    pid_t id;
    enum crs_scope scope;
};

/*
 * Other processes than one root's. None of them has to be there. The caller is left out. The
 * children of what is left out belong as if their parent had ended.
 */
struct tree_choice {
    const struct tree_root *roots;
    size_t n_roots;
    const pid_t *omitted; /* left out */
    size_t n_omitted;
    /* Does it, which was found and is neither a root nor omitted? Where not, its descendants don't
     * either. NULL: all do. */
    bool (*belongs)(const struct tree_found *found, void *arg);
    void *arg;
};

struct tree {
    /* set by the caller */
    pid_t root; /* the process that was named */
    enum crs_scope scope;
    pid_t tool;    /* a process that waits for us; 0: none */
    pid_t adopter; /* the supervisor of the root's own namespaces: what it has taken in belongs to
                      the tree; 0: none (tree_find_adopter()) */
    const struct tree_choice *choice; /* NULL: the root's scope; else root, which tree_freeze()
                                         sets, and scope don't matter before */

    /* by tree_freeze(): parents before their children; [0] is the root, or with scopes other than
     * a tree its topmost ancestor among the members */
    ARRAY_OF(struct tree_member) members;
    uint64_t frozen_at_us; /* at the first interrupt */

    ARRAY_OF(struct tree_place) places; /* of the members, sorted by PID: tree_index.c's own */
    ARRAY_OF(struct tracee *)
    memories; /* one member for each memory that they have, in an order
                 that kcmp(2) gives: tree_memory.c's own */
};

/* The supervisor whose program the process is; 0: it is none's. */
pid_t tree_find_adopter(pid_t root);

/* Freeze all. deadline_us: now_us() value at which to give up at the latest; 0: none but those that
 * keep a tree that can't be frozen from standing still for long. On failure all go on when the tree
 * is cleared. */
int tree_freeze(struct tree *tree, uint64_t deadline_us, struct crs_error *err);

/* Take back all that was changed in them. */
int tree_undo(struct tree *tree, struct crs_error *err);

/* Let all go on. `stopped`: leave them as by SIGSTOP. */
int tree_thaw(struct tree *tree, bool stopped, struct crs_error *err);

/* Thaw what is frozen, free all. */
void tree_clear(struct tree *tree);

/* The member; NULL: there is none. */
struct tree_member *tree_find_member(const struct tree *tree, pid_t pid);

/* ---- inside: tree_index.c ---- */

/* One more, of which only the PID is set, and which is none yet; NULL: no memory. */
struct tree_member *tree_add_member(struct tree *tree, pid_t pid);
/* Free the list of members, not what they own. */
void tree_forget_members(struct tree *tree);

/* ---- inside: tree_memory.c ---- */

/* It is held, and no call was made in it yet: does it share its memory with a member? Then
 * t->memory_of is set. *ret_place: for the next function. */
int tree_memory_find(const struct tree *tree, struct tracee *t, size_t *ret_place,
                     struct crs_error *err);
/* Likewise: is what it shares with relatives that are not to be saved refused? alone: its children
 * are not. */
int tree_memory_check(const struct tree *tree, struct tracee *t, bool alone, struct crs_error *err);
/* It becomes a member. */
int tree_memory_add(struct tree *tree, struct tracee *t, size_t place, struct crs_error *err);

/* ---- inside: tree_find.c ---- */

struct tree_found {
    pid_t pid, parent, parent_thread; /* parent 0: not known yet */
    bool whole, tool, left_out;       /* as a member's */
    unsigned depth;
};

struct tree_founds {
    ARRAY_OF(struct tree_found) array;
};
void tree_founds_clear(struct tree_founds *founds);
/* Parents before their children; depth: how many of its ancestors are there. */
void tree_founds_sort(struct tree_founds *founds);
#define _cleanup_tree_founds_ __attribute__((cleanup(tree_founds_clear)))

enum tree_how {
    TREE_BY_CHILDREN, /* each thread's list of children */
    TREE_BY_SCAN,     /* every process says who its parent is */
};
/* The way that the kernel and the scope allow. */
enum tree_how tree_how(const struct tree *tree);

/* Is it the tool, or left out? */
void tree_judge(const struct tree *tree, struct tree_found *found);
/* The member that it becomes, of which the rest isn't known yet; NULL: no memory. */
struct tree_member *tree_take_found(struct tree *tree, const struct tree_found *found);

/* The processes that belong to the tree and are no members yet, parents first. By their lists of
 * children, only those of members[from] and later ones are found. */
int tree_find_new(const struct tree *tree, enum tree_how how, size_t from, struct tree_founds *ret,
                  struct crs_error *err);

/* The same of a tree that runs, all of it, as far as it stands still: for what is done before. */
int tree_list(const struct tree *tree, struct tree_founds *ret, struct crs_error *err);

#endif
