/*
 * options.c - states and options of checkpoints
 */
#include <string.h>

#include "opal/mca/crs/base/base.h"

static void construct(opal_crs_base_ckpt_options_t *options)
{
    (void)opal_crs_base_clear_options(options);
}

OBJ_CLASS_INSTANCE(opal_crs_base_ckpt_options_t, opal_object_t, construct, NULL);

char *opal_crs_base_state_str(opal_crs_state_type_t state)
{
    static const char *const names[OPAL_CRS_STATE_MAX] = {
        [OPAL_CRS_NONE] = "None",
        [OPAL_CRS_CHECKPOINT] = "Checkpoint",
        [OPAL_CRS_RESTART_PRE] = "Restart (closing)",
        [OPAL_CRS_RESTART] = "Restart",
        [OPAL_CRS_CONTINUE] = "Continue",
        [OPAL_CRS_TERM] = "Terminate",
        [OPAL_CRS_RUNNING] = "Running",
        [OPAL_CRS_ERROR] = "Error",
    };
    bool known = (int)state >= 0 && state < OPAL_CRS_STATE_MAX;

    return strdup(known ? names[state] : "Unknown");
}

int opal_crs_base_copy_options(opal_crs_base_ckpt_options_t *from, opal_crs_base_ckpt_options_t *to)
{
    if (!from || !to)
        return OPAL_ERR_BAD_PARAM;
    to->term = from->term;
    to->stop = from->stop;
    to->inc_prep_only = from->inc_prep_only;
    to->inc_recover_only = from->inc_recover_only;
    return OPAL_SUCCESS;
}

int opal_crs_base_clear_options(opal_crs_base_ckpt_options_t *target)
{
    if (!target)
        return OPAL_ERR_BAD_PARAM;
    target->term = target->stop = false;
    target->inc_prep_only = target->inc_recover_only = false;
    return OPAL_SUCCESS;
}
