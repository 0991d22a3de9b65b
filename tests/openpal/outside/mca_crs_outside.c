/*
 * mca_crs_outside.c - a component as others have written theirs: built apart from this project,
 * loaded from a folder. It saves a word.
 */
#include "opal_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opal/constants.h"
#include "opal/mca/base/base.h"
#include "opal/mca/crs/base/base.h"
#include "opal/mca/crs/crs.h"
#include "opal/mca/mca.h"
#include "opal/util/argv.h"
#include "opal/util/opal_environ.h"
#include "opal/util/output.h"

#ifndef OUTSIDE_PRIORITY
#define OUTSIDE_PRIORITY 50
#endif

static int outside_open(void);
static int outside_close(void);
static int outside_query(mca_base_module_t **module, int *priority);
static int outside_register(void);

opal_crs_base_component_t mca_crs_outside_component = {
    {OPAL_CRS_BASE_VERSION_2_0_0, "outside", OPAL_MAJOR_VERSION, OPAL_MINOR_VERSION,
     OPAL_RELEASE_VERSION, outside_open, outside_close, outside_query, outside_register},
    {MCA_BASE_METADATA_PARAM_CHECKPOINT},
    0,
    -1,
    OUTSIDE_PRIORITY};

static char *word = "usual"; /* the default of 1.7's kind of parameter */
static int fault;

static int outside_register(void)
{
    mca_base_component_t *c = &mca_crs_outside_component.base_version;

    mca_base_param_reg_int(c, "priority", "Priority of the component", false, false,
                           OUTSIDE_PRIORITY, &mca_crs_outside_component.priority);
    mca_base_param_reg_int(c, "verbose", "Level of its log", false, false, 0,
                           &mca_crs_outside_component.verbose);
    mca_base_param_reg_int(c, "fault",
                           "1: query refuses, 2: init fails, 3: checkpoint fails, "
                           "4: a module without functions",
                           false, false, 0, &fault);
    mca_base_component_var_register(c, "word", "The word that is saved", MCA_BASE_VAR_TYPE_STRING,
                                    NULL, 0, 0, OPAL_INFO_LVL_9, MCA_BASE_VAR_SCOPE_READONLY,
                                    &word);
    return OPAL_SUCCESS;
}

static int outside_open(void)
{
    if (0 != mca_crs_outside_component.verbose) {
        mca_crs_outside_component.output_handle = opal_output_open(NULL);
        opal_output_set_verbosity(mca_crs_outside_component.output_handle,
                                  mca_crs_outside_component.verbose);
    } else {
        mca_crs_outside_component.output_handle = opal_crs_base_output;
    }
    return OPAL_SUCCESS;
}

static int outside_close(void)
{
    opal_output_verbose(10, mca_crs_outside_component.output_handle, "outside: closed");
    return OPAL_SUCCESS;
}

static int outside_init(void)
{
    opal_output_verbose(10, mca_crs_outside_component.output_handle, "outside: begins");
    return fault == 2 ? OPAL_ERR_OUT_OF_RESOURCE : OPAL_SUCCESS;
}

static int outside_finalize(void)
{
    return OPAL_SUCCESS;
}

/* As it was usual: the lines first, then the file. */
static int outside_checkpoint(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                              opal_crs_base_ckpt_options_t *options, opal_crs_state_type_t *state)
{
    char path[4096];
    FILE *file;

    opal_crs_base_metadata_write_token(snapshot->local_location, CRS_METADATA_COMP,
                                       snapshot->component_name);
    opal_crs_base_metadata_write_token(snapshot->local_location, CRS_METADATA_CONTEXT, "word.txt");
    snprintf(path, sizeof(path), "%s/word.txt", snapshot->local_location);
    file = fopen(path, "w");
    if (file == NULL)
        return OPAL_ERROR;
    fprintf(file, "%s\n", word);
    if (fclose(file) != 0 || fault == 3) {
        *state = OPAL_CRS_ERROR;
        return OPAL_ERROR;
    }
    *state = OPAL_CRS_CONTINUE;
    return OPAL_SUCCESS;
}

static int outside_restart(opal_crs_base_snapshot_t *snapshot, bool spawn_child, pid_t *child_pid)
{
    return OPAL_ERR_NOT_SUPPORTED;
}

static int outside_disable(void)
{
    return OPAL_SUCCESS;
}

static int outside_enable(void)
{
    return OPAL_SUCCESS;
}

static int outside_prelaunch(int32_t rank, char *base_snapshot_dir, char **app, char **cwd,
                             char ***argv, char ***env)
{
    char text[32];

    snprintf(text, sizeof(text), "%d", (int)rank);
    free(*cwd);
    *cwd = strdup(base_snapshot_dir);
    if (*cwd == NULL || opal_argv_append_nosize(argv, "more") != OPAL_SUCCESS)
        return OPAL_ERR_OUT_OF_RESOURCE;
    return opal_setenv("OUTSIDE_RANK", text, true, env);
}

static int outside_reg_thread(void)
{
    return OPAL_SUCCESS;
}

static opal_crs_base_module_t loc_module = {
    outside_init,    outside_finalize, outside_checkpoint, outside_restart,
    outside_disable, outside_enable,   outside_prelaunch,  outside_reg_thread};

static opal_crs_base_module_t empty_module;

static int outside_query(mca_base_module_t **module, int *priority)
{
    if (fault == 1)
        return mca_base_component_unavailable(&mca_crs_outside_component.base_version,
                                              "it was told to refuse (fault is %d)", fault);
    *priority = mca_crs_outside_component.priority;
    *module = (mca_base_module_t *)(fault == 4 ? &empty_module : &loc_module);
    return OPAL_SUCCESS;
}
