/*
 * select.c - the framework: opened, one component selected, closed
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "opal/util/opal_environ.h"
#include "opal/util/output.h"
#include "openpal/crs/base_internal.h"
#include "openpal/mca/base_internal.h"
#include "openpal/mca/component.h"

opal_crs_base_module_t opal_crs;
opal_crs_base_component_t *opal_crs_base_selected_component;

static void opened(struct mca_component *component);
static void closed(struct mca_component *component);

static struct mca_framework framework = {
    .name = "crs",
    .major = 2,
    .minor = 0,
    .built_in = opal_crs_base_built_in,
    .opened = opened,
    .closed = closed,
};
int opal_crs_base_output = -1;
static int n_opened, verbose;
static opal_crs_base_module_t selected_module;

/* ---- logs ---- */

static int open_log(int level)
{
    int stream = opal_output_open(NULL);

    opal_output_set_verbosity(stream, level);
    return stream;
}

/* Every component has a stream; its level is its own parameter's, or that for all of them. */
static void opened(struct mca_component *component)
{
    opal_crs_base_component_t *crs = (opal_crs_base_component_t *)component->component;
    int level = crs->verbose > verbose ? crs->verbose : verbose;

    if (crs->output_handle > 0) {
        opal_output_set_verbosity(crs->output_handle, level);
        return;
    }
    component->log = open_log(level);
    crs->output_handle = component->log;
}

static void closed(struct mca_component *component)
{
    opal_crs_base_component_t *crs = (opal_crs_base_component_t *)component->component;

    if (component->log < 0)
        return;
    opal_output_close(component->log);
    component->log = crs->output_handle = -1;
}

/* ---- parameters ---- */

/* Where the command crs keeps snapshots, in a folder of its own. NULL: there is no such place. */
static char *default_directory(void)
{
    const char *store = getenv("CRS_STORE"), *state = getenv("XDG_STATE_HOME"),
               *home = getenv("HOME");

    if (store && *store)
        return format_string("%s/opal", store);
    if (state && *state == '/')
        return format_string("%s/crs/opal", state);
    return home && *home == '/' ? format_string("%s/.local/state/crs/opal", home) : NULL;
}

static int register_all(void)
{
    _cleanup_free_ char *directory = default_directory();
    int r = mca_base_param_reg_string_name(
        "crs", NULL,
        "which components are considered: names with commas between them, or ^ and the names "
        "of those that are left out; empty: all, and none as the last",
        false, false, "", NULL);

    if (r >= 0)
        r = mca_base_param_reg_int_name("crs_base", "verbose",
                                        "level of the log of the framework and of all its "
                                        "components; 0: only errors",
                                        false, false, 0, &verbose);
    if (r >= 0)
        r = mca_base_param_reg_string_name("crs_base", "snapshot_dir",
                                           "the directory that snapshots are in", false, false,
                                           directory, NULL);
    return r < 0 ? r : OPAL_SUCCESS;
}

int opal_crs_base_open(void)
{
    int r;

    if (n_opened++ > 0)
        return OPAL_SUCCESS;
    r = register_all();
    if (r == OPAL_SUCCESS)
        r = mca_framework_find(&framework);
    if (r != OPAL_SUCCESS) {
        mca_framework_close(&framework);
        n_opened--;
        return r;
    }
    opal_crs_base_output = open_log(verbose);
    return OPAL_SUCCESS;
}

/* ---- the checkpoint ---- */

/* What the component has made becomes a snapshot, or goes. A restarted process is in here as well:
 * its snapshot has been committed by the one that was saved. */
static int end_checkpoint(opal_crs_base_snapshot_t *snapshot, int r, opal_crs_state_type_t *state)
{
    if (r == OPAL_SUCCESS && *state == OPAL_CRS_RESTART) {
        opal_crs_base_snapshot_settle(snapshot);
        return OPAL_SUCCESS;
    }
    if (r == OPAL_SUCCESS && *state == OPAL_CRS_ERROR)
        r = OPAL_ERROR;
    if (r == OPAL_SUCCESS)
        r = opal_crs_base_snapshot_commit(snapshot);
    if (r != OPAL_SUCCESS) {
        opal_crs_base_snapshot_abort(snapshot);
        *state = OPAL_CRS_ERROR;
    }
    return r;
}

static int checkpoint(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                      opal_crs_base_ckpt_options_t *options, opal_crs_state_type_t *state)
{
    opal_crs_state_type_t reached = OPAL_CRS_ERROR;
    opal_crs_base_ckpt_options_t none = {0};
    int r;

    if (!snapshot)
        return OPAL_ERR_BAD_PARAM;
    OBJ_CONSTRUCT(&none, opal_crs_base_ckpt_options_t);
    r = opal_crs_base_snapshot_begin(snapshot, pid);
    if (r == OPAL_SUCCESS) {
        r = selected_module.crs_checkpoint(pid, snapshot, options ? options : &none, &reached);
        r = end_checkpoint(snapshot, r, &reached);
    }
    OBJ_DESTRUCT(&none);
    if (state)
        *state = reached;
    return r;
}

/* ---- functions that a module doesn't have ---- */

static int succeed(void)
{
    return OPAL_SUCCESS;
}

static int no_checkpoint(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                         opal_crs_base_ckpt_options_t *options, opal_crs_state_type_t *state)
{
    return opal_crs_base_fail(OPAL_ERR_NOT_SUPPORTED, "the component has no function for that");
}

static int no_restart(opal_crs_base_snapshot_t *snapshot, bool spawn_child, pid_t *child_pid)
{
    return opal_crs_base_fail(OPAL_ERR_NOT_SUPPORTED, "the component has no function for that");
}

static int no_prelaunch(int32_t rank, char *base_snapshot_dir, char **app, char **cwd, char ***argv,
                        char ***env)
{
    return OPAL_SUCCESS;
}

static void fill_up(opal_crs_base_module_t *m)
{
    m->crs_init = m->crs_init ? m->crs_init : succeed;
    m->crs_finalize = m->crs_finalize ? m->crs_finalize : succeed;
    m->crs_checkpoint = m->crs_checkpoint ? m->crs_checkpoint : no_checkpoint;
    m->crs_restart = m->crs_restart ? m->crs_restart : no_restart;
    m->crs_disable_checkpoint = m->crs_disable_checkpoint ? m->crs_disable_checkpoint : succeed;
    m->crs_enable_checkpoint = m->crs_enable_checkpoint ? m->crs_enable_checkpoint : succeed;
    m->crs_prelaunch = m->crs_prelaunch ? m->crs_prelaunch : no_prelaunch;
    m->crs_reg_thread = m->crs_reg_thread ? m->crs_reg_thread : succeed;
}

/* What is started is a program, even by a tool. */
static int prelaunch(int32_t rank, char *base_snapshot_dir, char **app, char **cwd, char ***argv,
                     char ***env)
{
    int r = selected_module.crs_prelaunch(rank, base_snapshot_dir, app, cwd, argv, env);

    return r == OPAL_SUCCESS && env ? opal_setenv("OPAL_MCA_opal_cr_is_tool", "0", true, env) : r;
}

/* ---- selection ---- */

static int use(struct mca_component *c)
{
    int r;

    selected_module = *(opal_crs_base_module_t *)c->module;
    fill_up(&selected_module);
    opal_crs = selected_module;
    opal_crs.crs_checkpoint = checkpoint;
    opal_crs.crs_prelaunch = prelaunch;
    opal_crs_base_selected_component = (opal_crs_base_component_t *)c->component;
    opal_crs_base_clear_failure();
    r = opal_crs.crs_init();
    c->selected = r == OPAL_SUCCESS;
    if (c->selected)
        return OPAL_SUCCESS;
    memset(&opal_crs, 0, sizeof(opal_crs));
    opal_crs_base_selected_component = NULL;
    if (!c->why_not)
        mca_component_refuse(c, "can't begin: %s",
                             *opal_crs_base_failure() ? opal_crs_base_failure() : opal_strerror(r));
    c->module = NULL;
    return r;
}

static void tell_why(const char *list)
{
    opal_output(0, "crs: no component can run here%s%s", *list ? ", of " : "", list);
    for (struct mca_component *c = framework.components; c; c = c->next)
        if (c->considered)
            opal_output(0, "crs: %s: %s", c->name, c->why_not ? c->why_not : "no reason given");
}

static int considered(char **ret_list)
{
    int r = mca_base_param_lookup_string(mca_base_param_find("crs", NULL, NULL), ret_list);

    return r == OPAL_SUCCESS ? mca_framework_consider(&framework, *ret_list) : r;
}

static int select_one(const char *list)
{
    for (struct mca_component *c = framework.components; c; c = c->next) {
        if (c->module && use(c) == OPAL_SUCCESS) {
            opal_output_verbose(1, opal_crs_base_output, "crs: %s is selected", c->name);
            mca_framework_close_others(&framework);
            return OPAL_SUCCESS;
        }
    }
    tell_why(list);
    return OPAL_ERR_NOT_AVAILABLE;
}

/* Some components register parameters only when they are opened. */
int opal_crs_base_select(void)
{
    _cleanup_free_ char *list = NULL;
    int r;

    if (opal_crs_base_selected_component)
        return OPAL_SUCCESS;
    r = considered(&list);
    if (r == OPAL_SUCCESS)
        mca_framework_query(&framework);
    if (mca_base_tell_problems() != OPAL_SUCCESS || r != OPAL_SUCCESS)
        return r != OPAL_SUCCESS ? r : OPAL_ERR_BAD_PARAM;
    return select_one(list ? list : "");
}

/* As a selection would come out, without one. A component's init is not asked. */
int opal_crs_base_survey(void)
{
    _cleanup_free_ char *list = NULL;
    int r = considered(&list);

    if (r != OPAL_SUCCESS || opal_crs_base_selected_component)
        return r;
    mca_framework_query(&framework);
    if (framework.components && framework.components->module)
        framework.components->selected = true;
    return OPAL_SUCCESS;
}

int opal_crs_base_close(void)
{
    if (n_opened == 0 || --n_opened > 0)
        return OPAL_SUCCESS;
    if (opal_crs.crs_finalize)
        opal_crs.crs_finalize();
    memset(&opal_crs, 0, sizeof(opal_crs));
    opal_crs_base_selected_component = NULL;
    mca_framework_close(&framework);
    opal_output_close(opal_crs_base_output);
    opal_crs_base_output = -1;
    return OPAL_SUCCESS;
}
