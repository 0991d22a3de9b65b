/*
 * crs.h - the checkpoint and restart service of Open PAL
 *
 * Purpose: one interface for whatever saves and restores a single process. A component implements
 * it; opal_init() selects one, and `opal_crs` has its functions. Upper levels call those, or better
 * the functions of opal/runtime/opal_cr.h, which notify all levels around a checkpoint.
 *
 * The identifiers, values, fields and signatures are those of the published interface
 * (component version 2.0.0, snapshot, options and module version 1.0.0).
 *
 * Threads: crs_checkpoint() is called by one thread at a time, the others run on. disable and
 * enable may be called by any thread, in pairs, nested; not by a signal handler.
 */
#ifndef MCA_CRS_H
#define MCA_CRS_H

#include "opal_config.h"
#include "opal/mca/mca.h"
#include "opal/mca/base/base.h"
#include "opal/class/opal_object.h"

BEGIN_C_DECLS

enum opal_crs_state_type_t {
    OPAL_CRS_NONE = 0,        /* nothing has happened */
    OPAL_CRS_CHECKPOINT = 1,  /* prepare: a checkpoint is about to be taken */
    OPAL_CRS_RESTART_PRE = 2, /* on the way down of a restart: close, don't open anything yet */
    OPAL_CRS_RESTART = 3,     /* a restarted process, on the way up: open again */
    OPAL_CRS_CONTINUE = 4,    /* the process that was saved goes on */
    OPAL_CRS_TERM = 5,        /* saved; the process ends now */
    OPAL_CRS_RUNNING = 6,     /* nothing is going on */
    OPAL_CRS_ERROR = 7,       /* the checkpoint failed; the process goes on */
    OPAL_CRS_STATE_MAX = 8
};
typedef enum opal_crs_state_type_t opal_crs_state_type_t;

/* What to do beyond saving. opal_crs_base_clear_options() makes all false. */
struct opal_crs_base_ckpt_options_1_0_0_t {
    opal_object_t super;
    bool term;             /* end the process after the checkpoint */
    bool stop;             /* leave it stopped (SIGSTOP) after the checkpoint */
    bool inc_prep_only;    /* only notify the levels that a checkpoint comes: quiesce */
    bool inc_recover_only; /* only notify them that it is over */
};
typedef struct opal_crs_base_ckpt_options_1_0_0_t opal_crs_base_ckpt_options_1_0_0_t;
typedef struct opal_crs_base_ckpt_options_1_0_0_t opal_crs_base_ckpt_options_t;

OPAL_DECLSPEC OBJ_CLASS_DECLARATION(opal_crs_base_ckpt_options_t);

/* The snapshot of one process: a directory with metadata, and what the component puts there. A
 * component extends this struct, and makes the larger object itself where it needs it: the one that
 * it is given may be of this type. Strings are on the heap and freed by the destructor. */
struct opal_crs_base_snapshot_1_0_0_t {
    opal_list_item_t super;
    char *component_name;  /* who made it */
    char *reference_name;  /* its name: the handle that the restart tool takes */
    char *local_location;  /* absolute path of its directory, also while it is made */
    char *remote_location; /* where it was copied from, or NULL */
    bool cold_start;       /* only names are known: the rest has to come from the metadata */
};
typedef struct opal_crs_base_snapshot_1_0_0_t opal_crs_base_snapshot_1_0_0_t;
typedef struct opal_crs_base_snapshot_1_0_0_t opal_crs_base_snapshot_t;

OPAL_DECLSPEC OBJ_CLASS_DECLARATION(opal_crs_base_snapshot_t);

/* Once, after the selection. OPAL_SUCCESS. */
typedef int (*opal_crs_base_module_init_fn_t)(void);

/* Once, at the end. OPAL_SUCCESS. */
typedef int (*opal_crs_base_module_finalize_fn_t)(void);

/* Saves process `pid`, 0 for the caller, into the snapshot's directory. OPAL_SUCCESS with *state
 * OPAL_CRS_CONTINUE (the process goes on) or OPAL_CRS_RESTART (this is the restarted process,
 * which wakes up here); or an error with OPAL_CRS_ERROR. `options` may be NULL. */
typedef int (*opal_crs_base_module_checkpoint_fn_t)(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                                                    opal_crs_base_ckpt_options_t *options,
                                                    opal_crs_state_type_t *state);

/* Brings the process back. spawn_child: as a new process, *child_pid gets its PID (the caller's
 * child, or its descendant's where the component can't do that); otherwise in the caller's place,
 * and it returns only on failure. */
typedef int (*opal_crs_base_module_restart_fn_t)(opal_crs_base_snapshot_t *snapshot,
                                                 bool spawn_child, pid_t *child_pid);

/* A critical section: no checkpoint is taken between the two; who asks for one waits, and is told
 * that it is delayed. */
typedef int (*opal_crs_base_module_disable_checkpoint_fn_t)(void);
typedef int (*opal_crs_base_module_enable_checkpoint_fn_t)(void);

/* Before a program is started: may change its path, directory, arguments and environment (strings
 * and arrays are on the heap, replaced ones are freed by the component). */
typedef int (*opal_crs_base_module_prelaunch_fn_t)(int32_t rank, char *base_snapshot_dir,
                                                   char **app, char **cwd, char ***argv,
                                                   char ***env);

/* The calling thread will call this library too. */
typedef int (*opal_crs_base_module_reg_thread_fn_t)(void);

struct opal_crs_base_component_2_0_0_t {
    mca_base_component_t base_version;
    mca_base_component_data_t base_data;
    int verbose;       /* level of its log */
    int output_handle; /* for opal_output() */
    int priority;
};
typedef struct opal_crs_base_component_2_0_0_t opal_crs_base_component_2_0_0_t;
typedef struct opal_crs_base_component_2_0_0_t opal_crs_base_component_t;

struct opal_crs_base_module_1_0_0_t {
    opal_crs_base_module_init_fn_t crs_init;
    opal_crs_base_module_finalize_fn_t crs_finalize;
    opal_crs_base_module_checkpoint_fn_t crs_checkpoint;
    opal_crs_base_module_restart_fn_t crs_restart;
    opal_crs_base_module_disable_checkpoint_fn_t crs_disable_checkpoint;
    opal_crs_base_module_enable_checkpoint_fn_t crs_enable_checkpoint;
    opal_crs_base_module_prelaunch_fn_t crs_prelaunch;
    opal_crs_base_module_reg_thread_fn_t crs_reg_thread;
};
typedef struct opal_crs_base_module_1_0_0_t opal_crs_base_module_1_0_0_t;
typedef struct opal_crs_base_module_1_0_0_t opal_crs_base_module_t;

/* The selected module; without one all functions are NULL. Those that it doesn't have are there
 * nevertheless, and do nothing or refuse. */
OPAL_DECLSPEC extern opal_crs_base_module_t opal_crs;

/* First part of a component's struct. */
#define OPAL_CRS_BASE_VERSION_2_0_0 MCA_BASE_VERSION_2_0_0, "crs", 2, 0, 0

END_C_DECLS

#endif /* MCA_CRS_H */
