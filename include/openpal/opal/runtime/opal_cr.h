/*
 * opal_cr.h - checkpoints, for applications and for the levels between them and the checkpointer
 *
 * Purpose: ask for a checkpoint of oneself, hold checkpoints off for a while, be called around
 * them, know whether one was restarted. Everything between opal_init() and opal_finalize().
 *
 * Order of a checkpoint: user callback OPAL_CR_INC_PRE_CRS_PRE_MPI; the stack of notification
 * callbacks with OPAL_CRS_CHECKPOINT, from its top down; user callback
 * OPAL_CR_INC_PRE_CRS_POST_MPI; the component saves; user callback OPAL_CR_INC_POST_CRS_PRE_MPI;
 * the stack with OPAL_CRS_CONTINUE, OPAL_CRS_TERM or OPAL_CRS_ERROR, or in a restarted process with
 * OPAL_CRS_RESTART_PRE and then OPAL_CRS_RESTART; user callback OPAL_CR_INC_POST_CRS_POST_MPI (the
 * user callbacks take the end of a process, TERM, for CONTINUE). Whoever of those before the save
 * returns anything but OPAL_SUCCESS cancels the checkpoint: the levels are told OPAL_CRS_ERROR, and
 * the program goes on. OPAL_EXISTS cancels it too, but it is tried again later, until the
 * requester's patience ends.
 *
 * Threads: callbacks are called by the thread that takes the checkpoint: the library's own, the
 * caller of opal_cr_request_checkpoint(), or, where the parameter opal_cr_use_thread is 0, whoever
 * comes to OPAL_CR_TEST_CHECKPOINT_READY(). Registering is safe from any thread. Nothing here may
 * be called by a signal handler.
 */
#ifndef OPAL_CR_H
#define OPAL_CR_H

#include "opal/mca/crs/crs.h"

BEGIN_C_DECLS

/* ---- for applications ---- */

/* Saves the calling process, now. `options`, `name` (the snapshot's handle) and `where` (the
 * directory that it goes to) may be NULL for the defaults. On OPAL_SUCCESS *state, if not NULL, is
 * OPAL_CRS_CONTINUE, or OPAL_CRS_RESTART in the restarted process; *handle, if not NULL, is the
 * path of the snapshot's directory, which the caller frees. Waits for another one that is under
 * way, and for critical sections of other threads; OPAL_ERR_RESOURCE_BUSY inside one of the
 * caller's own or of a callback. */
OPAL_DECLSPEC int opal_cr_request_checkpoint(opal_crs_base_ckpt_options_t *options,
                                             const char *name, const char *where, char **handle,
                                             opal_crs_state_type_t *state);

/* A critical section: no checkpoint is taken between the two. Nests, and is counted for each
 * thread; OPAL_ERROR of a leave without an enter. */
OPAL_DECLSPEC int opal_cr_enter_critical(void);
OPAL_DECLSPEC int opal_cr_leave_critical(void);

/* Was this process restarted, ever? How many times? 0 in the first life. */
OPAL_DECLSPEC bool opal_cr_is_restarted(void);
OPAL_DECLSPEC int opal_cr_restart_count(void);

typedef enum {
    OPAL_CR_INC_PRE_CRS_PRE_MPI = 0,
    OPAL_CR_INC_PRE_CRS_POST_MPI = 1,
    OPAL_CR_INC_CRS_PRE_CKPT = 2, /* directly around the save, for components that can */
    OPAL_CR_INC_CRS_POST_CKPT = 3,
    OPAL_CR_INC_POST_CRS_PRE_MPI = 4,
    OPAL_CR_INC_POST_CRS_POST_MPI = 5,
    OPAL_CR_INC_MAX = 6
} opal_cr_user_inc_callback_event_t;

typedef enum {
    OPAL_CR_INC_STATE_PREPARE = 0,
    OPAL_CR_INC_STATE_CONTINUE = 1,
    OPAL_CR_INC_STATE_RESTART = 2,
    OPAL_CR_INC_STATE_ERROR = 3
} opal_cr_user_inc_callback_state_t;

typedef int (*opal_cr_user_inc_callback_fn_t)(opal_cr_user_inc_callback_event_t event,
                                              opal_cr_user_inc_callback_state_t state);

/* One function for each event; NULL takes it back. *prev, if not NULL, gets the one before. */
OPAL_DECLSPEC int opal_cr_user_inc_register_callback(opal_cr_user_inc_callback_event_t event,
                                                     opal_cr_user_inc_callback_fn_t function,
                                                     opal_cr_user_inc_callback_fn_t *prev);

/* ---- for levels ---- */

/* `state` is an opal_crs_state_type_t. A level calls the one below itself, where it wants. */
typedef int (*opal_cr_coord_callback_fn_t)(int state);

/* Puts a function on top of the stack; *prev gets the one below, never NULL: at the bottom is Open
 * PAL's own. Registering *prev again, with NULL for `prev`, takes the top off. */
OPAL_DECLSPEC int opal_cr_reg_coord_callback(opal_cr_coord_callback_fn_t new_func,
                                             opal_cr_coord_callback_fn_t *prev);

/* The steps of a checkpoint, for those who coordinate several processes. inc_core() is prep(),
 * ckpt() and recover(), or with options inc_prep_only or inc_recover_only one of them. `state` is
 * an opal_crs_state_type_t. From prep() to recover(), which the same thread calls, nobody else
 * saves the process or enters a critical section; opal_cr_request_checkpoint() of that thread only
 * saves. Whom the option `term` ends is up to the caller, who gets OPAL_CRS_TERM. */
OPAL_DECLSPEC int opal_cr_inc_core(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                                   opal_crs_base_ckpt_options_t *options, int *state);
OPAL_DECLSPEC int opal_cr_inc_core_prep(void);
OPAL_DECLSPEC int opal_cr_inc_core_ckpt(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                                        opal_crs_base_ckpt_options_t *options, int *state);
OPAL_DECLSPEC int opal_cr_inc_core_recover(int state);

/* A point at which a program without the thread (opal_cr_use_thread = 0) may be saved: takes a
 * checkpoint that was asked for. With the thread: does nothing. */
OPAL_DECLSPEC void opal_cr_test_if_checkpoint_ready(void);
#define OPAL_CR_TEST_CHECKPOINT_READY() opal_cr_test_if_checkpoint_ready()

/* Has a library that calls itself "in": with the thread, no checkpoint is taken between the two. */
#define OPAL_CR_ENTER_LIBRARY() ((void)opal_cr_enter_critical())
#define OPAL_CR_EXIT_LIBRARY()  ((void)opal_cr_leave_critical())

END_C_DECLS

#endif
