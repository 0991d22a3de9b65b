/* inc.c - the levels' callbacks, the user's callbacks, the three steps of a checkpoint */
#include <pthread.h>
#include <stdio.h>

#include "opal/constants.h"
#include "opal/util/output.h"
#include "openpal/runtime/gate.h"
#include "openpal/runtime/runtime.h"

static int bottom(int state);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static opal_cr_coord_callback_fn_t top = bottom;
static opal_cr_user_inc_callback_fn_t user[OPAL_CR_INC_MAX];

/* Where the holder of the gate is in a checkpoint. */
static enum { IDLE, PREPARING, PREPARED, RECOVERING } phase;
static bool took_gate; /* prep did, recover gives it back */

static _Thread_local char words[256];

static const char *const event_names[] = {
    "OPAL_CR_INC_PRE_CRS_PRE_MPI", "OPAL_CR_INC_PRE_CRS_POST_MPI", "OPAL_CR_INC_CRS_PRE_CKPT",
    "OPAL_CR_INC_CRS_POST_CKPT",   "OPAL_CR_INC_POST_CRS_PRE_MPI", "OPAL_CR_INC_POST_CRS_POST_MPI",
};

static const char *const state_names[] = {
    "OPAL_CRS_NONE",     "OPAL_CRS_CHECKPOINT", "OPAL_CRS_RESTART_PRE", "OPAL_CRS_RESTART",
    "OPAL_CRS_CONTINUE", "OPAL_CRS_TERM",       "OPAL_CRS_RUNNING",     "OPAL_CRS_ERROR",
};

const char *inc_failure(void)
{
    return words;
}

bool inc_is_prepared(void)
{
    return gate_is_mine() && phase == PREPARED;
}

/* Open PAL's own level has nothing to close: what listens is closed around the save itself, also
 * where a level above doesn't call down. */
static int bottom(int state)
{
    opal_output_verbose(10, runtime_output, "opal_cr: the levels are told %s", state_names[state]);
    return OPAL_SUCCESS;
}

int opal_cr_reg_coord_callback(opal_cr_coord_callback_fn_t new_func,
                               opal_cr_coord_callback_fn_t *prev)
{
    if (!new_func)
        return OPAL_ERR_BAD_PARAM;
    pthread_mutex_lock(&lock);
    if (prev)
        *prev = top;
    top = new_func;
    pthread_mutex_unlock(&lock);
    return OPAL_SUCCESS;
}

int opal_cr_user_inc_register_callback(opal_cr_user_inc_callback_event_t event,
                                       opal_cr_user_inc_callback_fn_t function,
                                       opal_cr_user_inc_callback_fn_t *prev)
{
    if ((unsigned)event >= OPAL_CR_INC_MAX)
        return OPAL_ERR_BAD_PARAM;
    pthread_mutex_lock(&lock);
    if (prev)
        *prev = user[event];
    user[event] = function;
    pthread_mutex_unlock(&lock);
    return OPAL_SUCCESS;
}

void inc_reset(void)
{
    pthread_mutex_lock(&lock);
    top = bottom;
    for (int i = 0; i < OPAL_CR_INC_MAX; i++)
        user[i] = NULL;
    pthread_mutex_unlock(&lock);
}

void inc_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void inc_fork_end(void)
{
    pthread_mutex_unlock(&lock);
}

/* ---- one callback ---- */

static int tell_stack(int state)
{
    pthread_mutex_lock(&lock);
    opal_cr_coord_callback_fn_t function = top;
    pthread_mutex_unlock(&lock);

    int r = function(state);
    if (r != OPAL_SUCCESS)
        snprintf(words, sizeof(words), "the levels' callback answered %s with '%s' (%d)",
                 state_names[state], opal_strerror(r), r);
    return r;
}

int inc_user_callback(opal_cr_user_inc_callback_event_t event,
                      opal_cr_user_inc_callback_state_t state)
{
    pthread_mutex_lock(&lock);
    opal_cr_user_inc_callback_fn_t function = user[event];
    pthread_mutex_unlock(&lock);

    int r = function ? function(event, state) : OPAL_SUCCESS;
    if (r != OPAL_SUCCESS)
        snprintf(words, sizeof(words), "the program's callback %s answered '%s' (%d)",
                 event_names[event], opal_strerror(r), r);
    return r;
}

/* One that is about to end has been saved, as one that goes on. */
opal_cr_user_inc_callback_state_t inc_user_state(int state)
{
    switch (state) {
    case OPAL_CRS_CONTINUE:
    case OPAL_CRS_TERM:
        return OPAL_CR_INC_STATE_CONTINUE;
    case OPAL_CRS_RESTART:
        return OPAL_CR_INC_STATE_RESTART;
    default:
        return OPAL_CR_INC_STATE_ERROR;
    }
}

/* ---- the steps ---- */

static int take_gate(void)
{
    if (gate_is_mine())
        return OPAL_SUCCESS;
    int r = gate_begin(true, NULL, 0);
    took_gate = r == OPAL_SUCCESS;
    return r;
}

static void finish(void)
{
    phase = IDLE;
    if (took_gate) {
        took_gate = false;
        gate_end();
    }
}

/* All are told, whatever the others answer; the first failure is what is returned. */
static int recover(int state, bool levels)
{
    opal_cr_user_inc_callback_state_t user_state = inc_user_state(state);
    int first = OPAL_SUCCESS, r;
    char first_words[sizeof(words)] = "";

#define STEP(call)                                                                                 \
    do {                                                                                           \
        r = (call);                                                                                \
        if (r != OPAL_SUCCESS && first == OPAL_SUCCESS) {                                          \
            first = r;                                                                             \
            snprintf(first_words, sizeof(first_words), "%s", words);                               \
        }                                                                                          \
    } while (0)

    phase = RECOVERING;
    STEP(inc_user_callback(OPAL_CR_INC_POST_CRS_PRE_MPI, user_state));
    if (levels && state == OPAL_CRS_RESTART)
        STEP(tell_stack(OPAL_CRS_RESTART_PRE));
    if (levels)
        STEP(tell_stack(state));
    STEP(inc_user_callback(OPAL_CR_INC_POST_CRS_POST_MPI, user_state));
#undef STEP
    if (first != OPAL_SUCCESS)
        snprintf(words, sizeof(words), "%s", first_words);
    return first;
}

int opal_cr_inc_core_prep(void)
{
    char refusal[sizeof(words)];
    bool levels = false;
    int r = take_gate();

    if (r != OPAL_SUCCESS)
        return r;
    if (phase != IDLE)
        return OPAL_ERR_RESOURCE_BUSY;
    phase = PREPARING;
    r = inc_user_callback(OPAL_CR_INC_PRE_CRS_PRE_MPI, OPAL_CR_INC_STATE_PREPARE);
    if (r == OPAL_SUCCESS) {
        levels = true;
        r = tell_stack(OPAL_CRS_CHECKPOINT);
    }
    if (r == OPAL_SUCCESS)
        r = inc_user_callback(OPAL_CR_INC_PRE_CRS_POST_MPI, OPAL_CR_INC_STATE_PREPARE);
    phase = PREPARED;
    if (r == OPAL_SUCCESS)
        return r;
    snprintf(refusal, sizeof(refusal), "%s", words);
    recover(OPAL_CRS_ERROR, levels);
    snprintf(words, sizeof(words), "%s", refusal);
    finish();
    return r;
}

int opal_cr_inc_core_ckpt(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                          opal_crs_base_ckpt_options_t *options, int *state)
{
    opal_crs_state_type_t new_state = OPAL_CRS_ERROR;
    int r;

    if (!opal_crs.crs_checkpoint)
        return OPAL_ERR_NOT_AVAILABLE;
    words[0] = '\0';
    r = opal_crs.crs_checkpoint(pid, snapshot, options, &new_state);
    if (r != OPAL_SUCCESS)
        new_state = OPAL_CRS_ERROR;
    else if (new_state == OPAL_CRS_CONTINUE && options && options->term)
        new_state = OPAL_CRS_TERM;
    *state = new_state;
    return r;
}

int opal_cr_inc_core_recover(int state)
{
    if (state <= OPAL_CRS_NONE || state >= OPAL_CRS_STATE_MAX)
        return OPAL_ERR_BAD_PARAM;
    if (!inc_is_prepared())
        return OPAL_ERROR;
    int r = recover(state, true);
    save_restart_told();
    finish();
    return r;
}

int opal_cr_inc_core(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                     opal_crs_base_ckpt_options_t *options, int *state)
{
    bool only_recover = options && options->inc_recover_only;
    int r = only_recover ? OPAL_SUCCESS : opal_cr_inc_core_prep(), recovered;

    *state = r == OPAL_SUCCESS ? OPAL_CRS_CHECKPOINT : OPAL_CRS_ERROR;
    if (r != OPAL_SUCCESS || (options && options->inc_prep_only))
        return r;
    if (only_recover)
        *state = save_was_restarted() ? OPAL_CRS_RESTART : OPAL_CRS_CONTINUE;
    else
        r = opal_cr_inc_core_ckpt(pid, snapshot, options, state);
    recovered = opal_cr_inc_core_recover(*state);
    return r != OPAL_SUCCESS ? r : recovered;
}
