/*
 * save.c - the component's save, and what a restarted process does first
 *
 * These functions stand in front of the selected module's in `opal_crs`, so that whoever calls
 * opal_crs.crs_checkpoint() is bound by critical sections too, and no socket of a request is in an
 * image, whatever component makes it.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "opal/constants.h"
#include "opal/mca/crs/base/base.h"
#include "opal/util/output.h"
#include "openpal/crs/base_internal.h"
#include "openpal/runtime/gate.h"
#include "openpal/runtime/metadata.h"
#include "openpal/runtime/runtime.h"

static opal_crs_base_module_t module; /* the functions behind ours */
static bool installed;
static bool untold; /* restarted, and the levels don't know */

_Atomic int n_restarts;

bool save_was_restarted(void)
{
    return untold;
}

/* Only now may the process make descriptors that last: levels have closed those that they remember
 * from before the restart, whose numbers may have been anybody's meanwhile. */
void save_restart_told(void)
{
    if (untold) {
        untold = false;
        listener_resume();
    }
}

/* ---- the save ---- */

/* Lines for opal-restart: how to reach the process that it restarts. */
static int write_metadata(opal_crs_base_snapshot_t *snapshot, uint64_t id)
{
    char place[PATH_MAX], text[32];
    int r;

    listener_place(place);
    snprintf(text, sizeof(text), "%016llx", (unsigned long long)id);
    r = opal_crs_base_metadata_write_token(snapshot->local_location, METADATA_ID, text);
    if (r == OPAL_SUCCESS && place[0])
        r = opal_crs_base_metadata_write_token(snapshot->local_location, METADATA_PLACE, place);
    snprintf(text, sizeof(text), "%d", atomic_load(&n_restarts));
    if (r == OPAL_SUCCESS)
        r = opal_crs_base_metadata_write_token(snapshot->local_location, METADATA_RESTARTS, text);
    return r;
}

static void restarted(const char *directory, uint64_t id)
{
    atomic_fetch_add(&n_restarts, 1);
    environment_take(directory, id);
    opal_crs_base_cleanup_flush();
    listener_restarted();
    opal_output_verbose(1, runtime_output, "opal_cr: restarted, %d. time",
                        atomic_load(&n_restarts));
}

static int save_here(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                     opal_crs_base_ckpt_options_t *options, opal_crs_state_type_t *state)
{
    char place[PATH_MAX];
    uint64_t id = 0;
    int r = inc_user_callback(OPAL_CR_INC_CRS_PRE_CKPT, OPAL_CR_INC_STATE_PREPARE);

    if (r != OPAL_SUCCESS)
        return r;
    if (getrandom(&id, sizeof(id), 0) != sizeof(id))
        id = (uint64_t)getpid();
    listener_place(place);
    r = opal_crs_base_snapshot_begin(snapshot, pid ? pid : getpid());
    if (r == OPAL_SUCCESS)
        r = write_metadata(snapshot, id);
    if (r != OPAL_SUCCESS) {
        opal_crs_base_snapshot_abort(snapshot);
        return r == OPAL_EXISTS ? OPAL_ERR_BAD_PARAM : r; /* asking again would change nothing */
    }
    r = module.crs_checkpoint(pid, snapshot, options, state);
    if (r == OPAL_SUCCESS && *state == OPAL_CRS_RESTART)
        restarted(place, id);
    if (r != OPAL_SUCCESS)
        *state = OPAL_CRS_ERROR;
    int told = inc_user_callback(OPAL_CR_INC_CRS_POST_CKPT, inc_user_state((int)*state));
    return r != OPAL_SUCCESS ? r : told;
}

static int checkpoint(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                      opal_crs_base_ckpt_options_t *options, opal_crs_state_type_t *state)
{
    bool outermost = !gate_is_mine();
    int r;

    if (pid != 0 && pid != getpid()) /* another process, with sections of its own */
        return module.crs_checkpoint(pid, snapshot, options, state);
    *state = OPAL_CRS_ERROR;
    r = outermost ? gate_begin(true, NULL, 0) : OPAL_SUCCESS;
    if (r != OPAL_SUCCESS)
        return opal_crs_base_fail(r, "a checkpoint was asked for inside of a critical section");
    listener_quiet();
    r = save_here(pid, snapshot, options, state);
    if (*state == OPAL_CRS_RESTART && inc_is_prepared())
        untold = true;
    else
        listener_resume();
    if (outermost)
        gate_end();
    return r;
}

/* ---- critical sections ---- */

/* The component's own comes second: what it keeps away are checkpoints that don't come through
 * here. */
int save_enter_section(void)
{
    int r = gate_enter();

    if (r == OPAL_SUCCESS && module.crs_disable_checkpoint) {
        r = module.crs_disable_checkpoint();
        if (r != OPAL_SUCCESS)
            gate_leave();
    }
    return r;
}

int save_leave_section(void)
{
    int r = gate_leave();

    if (r == OPAL_SUCCESS && module.crs_enable_checkpoint)
        r = module.crs_enable_checkpoint();
    return r;
}

void save_install(void)
{
    if (installed || !opal_crs.crs_checkpoint)
        return;
    module = opal_crs;
    opal_crs.crs_checkpoint = checkpoint;
    opal_crs.crs_disable_checkpoint = save_enter_section;
    opal_crs.crs_enable_checkpoint = save_leave_section;
    installed = true;
}

void save_remove(void)
{
    if (!installed)
        return;
    opal_crs = module;
    module = (opal_crs_base_module_t){0};
    installed = false;
    untold = false;
}
