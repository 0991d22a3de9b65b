/*
 * lineage.h - which process of a tree is made by which, and in what order
 *
 * A process gets its parent, session and process group by being forked at the right time by the
 * right process: a child that is in the session of its grandparent was forked before its parent
 * called setsid(2), an orphan's session may be one that its new parent never was in, and leaders
 * may be gone. And it is made by one that it shares memory, descriptors and so on with. This works
 * out, from the records alone, how to get there; nothing is started here.
 */
#ifndef ENGINE_LINEAGE_H
#define ENGINE_LINEAGE_H

#include "base/array.h"
#include "base/error.h"
#include "kobj/kobj.h"

#define LINEAGE_OUTSIDE (-1) /* parent: the restarter; session, group: the restarter's own */

enum lineage_way {
    LINEAGE_STARTED,    /* by the restarter */
    LINEAGE_FORKED,     /* by its parent */
    LINEAGE_AS_SIBLING, /* by a child of its parent (CLONE_PARENT) */
    LINEAGE_AS_ORPHAN,  /* by a helper that ends at once; its parent, the subreaper, inherits it */
};

struct lineage_member {
    const Crs__Process *record; /* NULL: a helper, leader of a session or group whose own is gone */
    pid_t pid;                  /* the saved one */
    int parent;
    int session, group;       /* the member that leads it */
    int first[KOBJ_N_SHARED]; /* the first member that has the same memory and so on; itself */
    enum lineage_way way;
    int maker; /* who makes it, or (AS_ORPHAN) the helper that makes it; it shares what `first`
                * says with it */
};

enum lineage_event {
    LINEAGE_MAKE,    /* the process */
    LINEAGE_SESSION, /* setsid() */
    LINEAGE_GROUP,   /* setpgid(0, 0) */
    LINEAGE_JOIN,    /* setpgid(0, its group) */
};

struct lineage_step {
    enum lineage_event event;
    int member;
};

struct lineage {
    ARRAY_OF(struct lineage_member) members; /* the tree's processes in their order, then helpers */
    ARRAY_OF(struct lineage_step) steps;
};

struct lineage_options {
    bool root_leads_session; /* it is made leader of a session of its own */
    bool root_leads_group;   /* or of a process group */
    bool restore_session;    /* the saved one, whoever led it; else the restarter's */
    bool restore_group;      /* likewise */
};

/* `tree` was checked by loaded_open(). CRS_DAMAGED: no order of events leads there;
 * CRS_CANT_RESTART: none that a process could follow. */
int lineage_plan(const Crs__Tree *tree, const struct lineage_options *options, struct lineage *ret,
                 struct crs_error *err);
void lineage_clear(struct lineage *lineage);

#endif
