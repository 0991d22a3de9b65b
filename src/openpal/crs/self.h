/*
 * self.h - the component `self`: the program's own functions save and restore it
 *
 * self.c            the component and its module
 * self_functions.c  which functions
 * self_symbols.c    names in a program that exports none
 * self_snapshot.c   what is in the metadata
 * self_restart.c    starting the program again
 */
#ifndef OPENPAL_CRS_SELF_H
#define OPENPAL_CRS_SELF_H

#include "opal/mca/crs/base/base.h"

/* ---- which functions ---- */

struct opal_crs_self_functions {
    opal_crs_self_checkpoint_callback_fn_t checkpoint;
    opal_crs_self_continue_callback_fn_t resume; /* NULL: there is none */
    opal_crs_self_restart_callback_fn_t restart;
};

/* Registered ones, else those named PREFIX_checkpoint ... false: one that has to be is missing, and
 * `ret_reason` (of `size` bytes) says why. */
bool opal_crs_self_find(const char *prefix, struct opal_crs_self_functions *ret, char *ret_reason,
                        size_t size);

/* With what has been registered since they were found. */
struct opal_crs_self_functions opal_crs_self_current(const struct opal_crs_self_functions *found);

/* The address of a global function in the program's own file, or NULL. */
void *opal_crs_self_symbol(const char *name, bool *ret_stripped);

/* ---- what is in the metadata, beside the command in CONTEXT ---- */

#define SELF_METADATA_EXE    "# Self Executable: " /* of the program's own command line */
#define SELF_METADATA_CWD    "# Self Directory: "  /* where the command is run */
#define SELF_METADATA_PREFIX "# Self Prefix: "

/* How the program was started. */
struct opal_crs_self_origin {
    char **argv;
    char *exe, *cwd;
};

/* Reads it; by the first thread, before main() changes the directory. */
int opal_crs_self_origin_read(struct opal_crs_self_origin *ret);
void opal_crs_self_origin_clear(struct opal_crs_self_origin *origin);

struct opal_crs_self_snapshot {
    char **argv;
    char *exe; /* NULL: argv[0] is looked for */
    char *cwd, *prefix;
    int n_restarts; /* that the saved process had behind it */
};

/* `command`: the one that the program's function wants, or NULL for its own. */
int opal_crs_self_write(const char *location, const char *command, const char *prefix,
                        const struct opal_crs_self_origin *origin);
int opal_crs_self_read(const char *location, struct opal_crs_self_snapshot *ret);
void opal_crs_self_snapshot_clear(struct opal_crs_self_snapshot *snapshot);

/* ---- starting it again ---- */

int opal_crs_self_restart(opal_crs_base_snapshot_t *snapshot, bool spawn_child, pid_t *child_pid);

#endif
