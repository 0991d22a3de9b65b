/*
 * runtime.h - what the files of the runtime share
 *
 * init.c        opal_init() and opal_finalize(), the parameters
 * gate.c        critical sections, and the one who saves
 * inc.c         the levels' callbacks, the user's callbacks, the three steps of a checkpoint
 * save.c        the component's save, and what a restarted process does first
 * checkpoint.c  one checkpoint from its options to its result
 * request.c     requests by the program itself
 * listener.c    the notification thread: requests by others
 * job.c         one request by another
 * place.c, protocol.c  shared with the tools
 *
 * Order of locks: the gate's is never held while another is taken.
 */
#ifndef OPENPAL_RUNTIME_RUNTIME_H
#define OPENPAL_RUNTIME_RUNTIME_H

#include <limits.h>

#include "base/error.h"
#include "opal/runtime/opal_cr.h"

struct runtime_params {
    int verbose;
    int is_tool;
    int use_thread;
    char *tmp_dir;
    int sleep_wait_us; /* between two attempts, when a level wasn't ready */
    int patience_s;    /* of the program's own requests; 0: without limit */
    int enable_timer;
};
extern struct runtime_params runtime_params;
extern int runtime_output;     /* for opal_output() */
extern _Atomic int n_restarts; /* of this process */

/* The runtime's parameters; for tools and listings too. */
OPAL_DECLSPEC int opal_cr_register_params(void);

/* ---- inc.c ---- */

/* One callback has refused or failed: words, of the calling thread's last step. */
const char *inc_failure(void);

/* Levels have been prepared by inc_prep_only, and not been recovered yet; the holder asks. */
bool inc_is_prepared(void);

int inc_user_callback(opal_cr_user_inc_callback_event_t event,
                      opal_cr_user_inc_callback_state_t state);
opal_cr_user_inc_callback_state_t inc_user_state(int state);

/* The file system's and the program's own levels are gone: opal_finalize(). */
void inc_reset(void);

void inc_fork_prepare(void);
void inc_fork_end(void); /* in parent and child */

/* ---- save.c ---- */

/* opal_crs has been filled: put ours in front of its functions, and take them away. */
void save_install(void);
void save_remove(void);

/* The process has been restarted while the levels were prepared, and they haven't been told yet;
 * save_restart_told(): now they have been. */
bool save_was_restarted(void);
void save_restart_told(void);

int save_enter_section(void);
int save_leave_section(void);

/* ---- checkpoint.c ---- */

struct checkpoint {
    opal_crs_base_ckpt_options_t options;
    opal_crs_base_snapshot_t *snapshot;
    int state;          /* opal_crs_state_type_t */
    enum crs_kind kind; /* of a failure */
    char words[1024];
    bool established; /* there is a snapshot, whatever came then */
    /* Called when it is, before anything else; then when the process is about to be stopped or to
     * end; may be NULL. */
    void (*tell)(struct checkpoint *c, int event);
    void *arg;
};

/* `where` and `name`: NULL or "" for the defaults. On failure c->kind and c->words. */
int checkpoint_begin(struct checkpoint *c, const char *name, const char *where);

/* By the holder of the gate. OPAL_EXISTS: a level isn't ready, ask again. With options.term it
 * doesn't return when all went well. */
int checkpoint_run(struct checkpoint *c);
void checkpoint_end(struct checkpoint *c);

/* ---- listener.c ---- */

int listener_start(void);
void listener_stop(void); /* nothing where it wasn't started */

/* It was started, and not in a parent of this process only. */
bool listener_is_there(void);

/* By the holder of the gate, around the save: close all that belongs to requests, and listen again.
 * Nested in one thread. */
void listener_quiet(void);
void listener_resume(void);

/* In a restarted process: forget requests that were made of the one that was saved, and keep others
 * waiting until listener_resume(). */
void listener_restarted(void);

/* No trace in the file system: the process is about to end by _exit(). */
void listener_leave(void);

/* Take a request that waits for the program's thread, if there is one. */
void listener_test(void);

void listener_fork_prepare(void);
void listener_fork_parent(void);
void listener_fork_child(void);

/* The directory in which it listens, or "". */
void listener_place(char path[PATH_MAX]);

/* ---- environment.c ---- */

/* What the restarting tool has left for the process with that number: set, and removed. */
void environment_take(const char *directory, uint64_t id);

#endif
