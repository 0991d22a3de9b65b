/*
 * none.c - the component that saves nothing
 *
 * Everything succeeds at once. It can always run, and is the last one to be selected.
 */
#include "opal/mca/crs/base/base.h"
#include "opal/util/output.h"
#include "openpal/crs/components.h"

static int register_params(void);
static int query(mca_base_module_t **module, int *priority);

static int select_warning;

opal_crs_base_component_t mca_crs_none_component = {
    .base_version =
        {
            OPAL_CRS_BASE_VERSION_2_0_0,
            .mca_component_name = "none",
            .mca_component_major_version = OPAL_MAJOR_VERSION,
            .mca_component_minor_version = OPAL_MINOR_VERSION,
            .mca_component_release_version = OPAL_RELEASE_VERSION,
            .mca_query_component = query,
            .mca_register_component_params = register_params,
        },
    .base_data = {MCA_BASE_METADATA_PARAM_CHECKPOINT},
    .priority = 0,
};

static int register_params(void)
{
    int r = mca_base_param_reg_int(&mca_crs_none_component.base_version, "select_warning",
                                   "1: tell on standard error when this component, which saves "
                                   "nothing, is selected",
                                   false, false, 0, &select_warning);

    return r < 0 ? r : OPAL_SUCCESS;
}

static int init(void)
{
    if (select_warning)
        opal_output(0, "crs: the component none is selected: checkpoints save nothing");
    return OPAL_SUCCESS;
}

static int succeed(void)
{
    return OPAL_SUCCESS;
}

static int checkpoint(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                      opal_crs_base_ckpt_options_t *options, opal_crs_state_type_t *state)
{
    *state = OPAL_CRS_CONTINUE;
    return OPAL_SUCCESS;
}

static int restart(opal_crs_base_snapshot_t *snapshot, bool spawn_child, pid_t *child_pid)
{
    return OPAL_SUCCESS;
}

static opal_crs_base_module_t module_of_none = {
    .crs_init = init,
    .crs_finalize = succeed,
    .crs_checkpoint = checkpoint,
    .crs_restart = restart,
    .crs_disable_checkpoint = succeed,
    .crs_enable_checkpoint = succeed,
    .crs_reg_thread = succeed,
};

static int query(mca_base_module_t **module, int *priority)
{
    *module = (mca_base_module_t *)&module_of_none;
    *priority = mca_crs_none_component.priority;
    return OPAL_SUCCESS;
}
