/*
 * base.h - what components of the checkpoint and restart service share
 *
 * A snapshot's directory has the file snapshot_meta.data: lines "# KEY: VALUE". The keys are
 * below. A value has no line breaks; everything after the colon and one blank is the value. The
 * lines of a checkpoint are written when its files are complete and safe on disk, so that what
 * looks like a snapshot is one; nothing in it is ever given to a shell.
 *
 * Threads: one at a time.
 */
#ifndef OPAL_CRS_BASE_H
#define OPAL_CRS_BASE_H

#include "opal/mca/crs/crs.h"

BEGIN_C_DECLS

#define CRS_METADATA_BASE      "# "
#define CRS_METADATA_COMP      "# OPAL CRS Component: "
#define CRS_METADATA_COMP_OLD  "# Component: " /* written by older versions; read too */
#define CRS_METADATA_PID       "# PID: "
#define CRS_METADATA_CONTEXT   "# CONTEXT: " /* the component's file, or its restart command */
#define CRS_METADATA_MKDIR     "# MKDIR: "   /* to be made before a restart; may come repeatedly */
#define CRS_METADATA_TOUCH     "# TOUCH: "
#define CRS_METADATA_TIMESTAMP "# Timestamp: "

#define CRS_METADATA_FILENAME "snapshot_meta.data"

/* Opens the framework (parameters, components), selects, closes. By opal_init() and
 * opal_finalize(), and by tools. */
OPAL_DECLSPEC int opal_crs_base_open(void);
OPAL_DECLSPEC int opal_crs_base_select(void);
OPAL_DECLSPEC int opal_crs_base_close(void);

/* The framework's own log stream, for components that have none; its level is crs_base_verbose. -1
 * while the framework is closed. */
OPAL_DECLSPEC extern int opal_crs_base_output;

/* Name of a state, for people: a string that the caller frees. */
OPAL_DECLSPEC char *opal_crs_base_state_str(opal_crs_state_type_t state);

/* "opal_snapshot_PID.ckpt"; the caller frees it. */
OPAL_DECLSPEC char *opal_crs_base_unique_snapshot_name(pid_t pid);

/* <crs_base_snapshot_dir>/<name>; the caller frees it. */
OPAL_DECLSPEC char *opal_crs_base_get_snapshot_directory(const char *name);

/* Begins a snapshot: makes its directory (mode 0700; parents as needed) under a hidden name beside
 * its place, and local_location is that name until it is complete or given up. Fills in what is
 * NULL. opal_crs.crs_checkpoint() has done it before a component is called, and ends it afterwards:
 * when all is on disk the directory takes its place, with an older snapshot of that name replaced,
 * or it is removed. A directory that is no snapshot is never replaced: OPAL_EXISTS. */
OPAL_DECLSPEC int opal_crs_base_init_snapshot_directory(opal_crs_base_snapshot_t *snapshot);

/* PID and component's name of the metadata in a directory; an error where one is missing. */
OPAL_DECLSPEC int opal_crs_base_extract_expected_component(const char *location,
                                                           char **component_name, int *prev_pid);

/* All values of a key, in order, as an argv array that the caller frees (opal_argv_free()).
 * OPAL_ERR_NOT_FOUND where there is none. */
OPAL_DECLSPEC int opal_crs_base_metadata_read_token(const char *location, const char *token,
                                                    char ***value);

/* Appends a line. Of a snapshot under way it is seen by the functions above when that is complete.
 * Neither may have line breaks: OPAL_ERR_BAD_PARAM. */
OPAL_DECLSPEC int opal_crs_base_metadata_write_token(const char *location, const char *token,
                                                     const char *value);

/* Files and directories that are removed once a restarted process runs. */
OPAL_DECLSPEC int opal_crs_base_cleanup_append(const char *filename, bool is_dir);
OPAL_DECLSPEC int opal_crs_base_cleanup_flush(void);

OPAL_DECLSPEC int opal_crs_base_copy_options(opal_crs_base_ckpt_options_t *from,
                                             opal_crs_base_ckpt_options_t *to);
OPAL_DECLSPEC int opal_crs_base_clear_options(opal_crs_base_ckpt_options_t *target);

/* For a component's function that is about to return an error: why, in words for the user (object,
 * reason, remedy). Format as printf(3). Returns `code`. */
OPAL_DECLSPEC int opal_crs_base_fail(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What the calling thread's last failure said, until it is cleared; "": nothing. */
OPAL_DECLSPEC const char *opal_crs_base_failure(void);
OPAL_DECLSPEC void opal_crs_base_clear_failure(void);

/* The functions of the `self` component, instead of those that it finds by name; NULL takes one
 * back. To be called before opal_init(). Each returns OPAL_SUCCESS, or the checkpoint (or the
 * restart's opal_init()) fails. *restart_cmd is NULL; a checkpoint function may set it to a command
 * in memory from malloc(), which the component frees: words as a shell splits them, run without a
 * shell in the present working directory. Left alone, the program's own command line is used. */
typedef int (*opal_crs_self_checkpoint_callback_fn_t)(char **restart_cmd);
typedef int (*opal_crs_self_continue_callback_fn_t)(void);
typedef int (*opal_crs_self_restart_callback_fn_t)(void);
OPAL_DECLSPEC int
opal_crs_base_self_register_checkpoint_callback(opal_crs_self_checkpoint_callback_fn_t function);
OPAL_DECLSPEC int
opal_crs_base_self_register_continue_callback(opal_crs_self_continue_callback_fn_t function);
OPAL_DECLSPEC int
opal_crs_base_self_register_restart_callback(opal_crs_self_restart_callback_fn_t function);

/* For these functions: the snapshot's directory, to which the checkpoint function may write, and
 * from which the restart function may read. NULL outside of them. */
OPAL_DECLSPEC const char *opal_crs_base_self_snapshot_directory(void);

END_C_DECLS

#endif
