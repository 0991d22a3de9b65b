/*
 * self.c - the component `self`: the program's own functions save and restore it
 *
 * Nothing of the process is saved but what the program's checkpoint function writes, and the
 * command by which it is started again. The restart function runs in the new process, in
 * opal_init(), which initializes the selected component.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "opal/util/opal_environ.h"
#include "opal/util/output.h"
#include "openpal/crs/base_internal.h"
#include "openpal/crs/components.h"
#include "openpal/crs/section.h"
#include "openpal/crs/self.h"

static int close_component(void);
static int query(mca_base_module_t **module, int *priority);
static int register_parameters(void);

opal_crs_base_component_t mca_crs_self_component = {
    .base_version =
        {
            OPAL_CRS_BASE_VERSION_2_0_0,
            .mca_component_name = "self",
            .mca_component_major_version = OPAL_MAJOR_VERSION,
            .mca_component_minor_version = OPAL_MINOR_VERSION,
            .mca_component_release_version = OPAL_RELEASE_VERSION,
            .mca_close_component = close_component,
            .mca_query_component = query,
            .mca_register_component_params = register_parameters,
        },
    .base_data = {.param_field = MCA_BASE_METADATA_PARAM_CHECKPOINT},
    .output_handle = -1,
    .priority = 20,
};

static struct {
    char *prefix, *snapshot_dir;
    int do_restart;
    bool is_tool;
    struct opal_crs_self_functions functions;
    struct opal_crs_self_origin origin;
    const char *directory; /* while a function runs */
} self;

const char *opal_crs_base_self_snapshot_directory(void)
{
    return self.directory;
}

/* ---- the component ---- */

static int register_parameters(void)
{
    opal_crs_base_component_t *me = &mca_crs_self_component;
    const mca_base_component_t *base = &me->base_version;
    int is_tool = 0;

    free(self.prefix);
    free(self.snapshot_dir);
    self.prefix = self.snapshot_dir = NULL;
    mca_base_param_reg_int(base, "priority", "Priority of the component in the selection", false,
                           false, 20, &me->priority);
    mca_base_param_reg_int(base, "verbose", "How much the component logs; 0: only errors", false,
                           false, 0, &me->verbose);
    mca_base_param_reg_string(base, "prefix",
                              "What the names of the program's functions begin with: "
                              "PREFIX_checkpoint, PREFIX_continue, PREFIX_restart",
                              false, false, "opal_crs_self_user", &self.prefix);
    mca_base_param_reg_int(base, "do_restart",
                           "Not 0: opal_init() calls the program's restart function; set by "
                           "opal-restart (how often the program was restarted)",
                           false, false, 0, &self.do_restart);
    mca_base_param_reg_string(base, "snapshot_dir",
                              "Where the snapshot is that the program is restarted from", true,
                              false, NULL, &self.snapshot_dir);
    mca_base_param_reg_int_name("opal_cr", "is_tool", "The process is a tool, not a program", true,
                                false, 0, &is_tool);
    self.is_tool = is_tool;
    return self.prefix ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE;
}

static int close_component(void)
{
    free(self.prefix);
    free(self.snapshot_dir);
    self.prefix = self.snapshot_dir = NULL;
    return OPAL_SUCCESS;
}

/* ---- its functions ---- */

static int fail_of(const char *what, int result)
{
    return opal_crs_base_fail(OPAL_ERROR, "the program's function %s_%s failed: it returned %d",
                              self.prefix, what, result);
}

/* What is passed on to programs that this one starts says nothing of its restart. */
static void forget_restart(void)
{
    static const char *const names[] = {"crs_self_do_restart", "crs_self_snapshot_dir", "crs",
                                        "opal_cr_is_tool"};
    static const char *const places[] = {"OPAL_MCA_", "OMPI_MCA_"};
    char name[64];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        for (size_t j = 0; j < 2; j++) {
            stpcpy(stpcpy(name, places[j]), names[i]);
            opal_unsetenv(name, &environ);
        }
}

static int init(void)
{
    int r;

    opal_crs_self_origin_clear(&self.origin);
    r = self.is_tool ? OPAL_SUCCESS : opal_crs_self_origin_read(&self.origin);
    if (r != OPAL_SUCCESS || self.is_tool || !self.do_restart)
        return r;
    forget_restart();
    opal_output_verbose(10, mca_crs_self_component.output_handle,
                        "crs:self: restart from %s: calling %s_restart",
                        self.snapshot_dir ? self.snapshot_dir : "no snapshot", self.prefix);
    self.directory = self.snapshot_dir;
    r = opal_crs_self_current(&self.functions).restart();
    self.directory = NULL;
    if (r == OPAL_SUCCESS)
        return OPAL_SUCCESS;
    return mca_base_component_unavailable(
        &mca_crs_self_component.base_version,
        "the program's function %s_restart failed: it returned %d", self.prefix, r);
}

static int finalize(void)
{
    opal_crs_self_origin_clear(&self.origin);
    return OPAL_SUCCESS;
}

/* The lines follow what the function has written. */
static int save(opal_crs_base_snapshot_t *snapshot)
{
    _cleanup_free_ char *command = NULL;

    self.directory = snapshot->local_location;
    int r = opal_crs_self_current(&self.functions).checkpoint(&command);
    self.directory = NULL;
    if (r != OPAL_SUCCESS)
        return fail_of("checkpoint", r);
    opal_output_verbose(10, mca_crs_self_component.output_handle,
                        "crs:self: saved to %s, restart command: %s", snapshot->local_location,
                        command ? command : "the program's own");
    r = opal_crs_self_write(snapshot->local_location, command, self.prefix, &self.origin);
    return r == OPAL_SUCCESS ? opal_crs_base_snapshot_commit(snapshot) : r;
}

/* Also where there is no snapshot in the end: the program's other function had got ready for it.
 * The directory has its final name by now. */
static int resume(opal_crs_base_snapshot_t *snapshot, int saved)
{
    opal_crs_self_continue_callback_fn_t function = opal_crs_self_current(&self.functions).resume;

    self.directory = snapshot->local_location;
    int r = function ? function() : OPAL_SUCCESS;

    self.directory = NULL;
    if (saved != OPAL_SUCCESS || r == OPAL_SUCCESS)
        return saved;
    return opal_crs_base_fail(OPAL_ERROR,
                              "the snapshot is complete, but the program's function %s_continue "
                              "failed: it returned %d",
                              self.prefix, r);
}

static int save_and_resume(opal_crs_base_snapshot_t *snapshot)
{
    int r = opal_crs_section_close();

    if (r != OPAL_SUCCESS)
        return r;
    r = resume(snapshot, save(snapshot));
    opal_crs_section_open();
    return r;
}

static int checkpoint(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                      opal_crs_base_ckpt_options_t *options, opal_crs_state_type_t *state)
{
    int r;

    *state = OPAL_CRS_ERROR;
    if (pid != 0 && pid != getpid())
        return opal_crs_base_fail(OPAL_ERR_NOT_SUPPORTED,
                                  "the component self can't save another process: only the "
                                  "program's own functions know what to write");
    r = save_and_resume(snapshot);
    if (r != OPAL_SUCCESS)
        return r;
    *state = OPAL_CRS_CONTINUE;
    if (options && options->stop)
        kill(getpid(), SIGSTOP);
    return OPAL_SUCCESS;
}

static int register_thread(void)
{
    return OPAL_SUCCESS;
}

/* ---- the selection ---- */

static opal_crs_base_module_t module_of_self = {
    .crs_init = init,
    .crs_finalize = finalize,
    .crs_checkpoint = checkpoint,
    .crs_restart = opal_crs_self_restart,
    .crs_disable_checkpoint = opal_crs_section_enter,
    .crs_enable_checkpoint = opal_crs_section_leave,
    .crs_reg_thread = register_thread,
};

/* A tool has no functions, and needs none: it starts programs that have them. It takes the
 * component only when nothing else is left, or for a snapshot of it. */
static int query(mca_base_module_t **module, int *priority)
{
    opal_crs_base_component_t *me = &mca_crs_self_component;
    char reason[512];

    if (!self.is_tool && !opal_crs_self_find(self.prefix, &self.functions, reason, sizeof(reason)))
        return mca_base_component_unavailable(&me->base_version, "%s", reason);
    *module = (mca_base_module_t *)&module_of_self;
    *priority = self.is_tool ? 0 : me->priority;
    return OPAL_SUCCESS;
}
