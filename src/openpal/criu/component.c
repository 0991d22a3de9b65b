/*
 * component.c - the component `criu`: the program CRIU saves and restores the process
 *
 * program.c  where it is, and whether it may be used
 * worker.c   one of it, and requests to it (keeper.c: so that it isn't the saved process's child)
 * image.c    what is asked of it; restore.c, too (request.c: what is the same for all requests;
 *            journal.c: why something failed; streams.c, relay.c: pipes to others)
 * chain.c    images that rest on others
 * module.c   the functions of the interface (family.c: a process and its descendants;
 *            supervise.c: a tool in whose place the process stands)
 */
#include <stdlib.h>
#include <string.h>

#include "opal/mca/base/base.h"
#include "openpal/criu/program.h"
#include "openpal/criu/settings.h"

static int register_params(void);
static int query(mca_base_module_t **module, int *priority);
static int close_component(void);

struct criu_settings criu_settings;

OPAL_MODULE_DECLSPEC opal_crs_base_component_t mca_crs_criu_component = {
    .base_version =
        {
            OPAL_CRS_BASE_VERSION_2_0_0,
            .mca_component_name = "criu",
            .mca_component_major_version = OPAL_MAJOR_VERSION,
            .mca_component_minor_version = OPAL_MINOR_VERSION,
            .mca_component_release_version = OPAL_RELEASE_VERSION,
            .mca_close_component = close_component,
            .mca_query_component = query,
            .mca_register_component_params = register_params,
        },
    .base_data = {MCA_BASE_METADATA_PARAM_CHECKPOINT},
    .output_handle = -1,
    .priority = 10,
};

static int number(const char *name, const char *help, int *value)
{
    return mca_base_param_reg_int(&mca_crs_criu_component.base_version, name, help, false, false,
                                  *value, value);
}

static int string(const char *name, const char *help, const char *by_default, char **value)
{
    free(*value);
    *value = NULL;
    return mca_base_param_reg_string(&mca_crs_criu_component.base_version, name, help, false, false,
                                     by_default, value);
}

static int register_numbers(void)
{
    struct criu_settings *s = &criu_settings;
    opal_crs_base_component_t *component = &mca_crs_criu_component;
    const struct {
        const char *name, *help;
        int by_default, *value;
    } all[] = {
        {"priority", "priority of this component", 10, &component->priority},
        {"verbose", "1: log requests to CRIU; 2: all errors of its log, too", 0,
         &component->verbose},
        {"log_level", "how much CRIU logs, 1 (errors) to 4; 0: as it does by default", 0,
         &s->image.log_level},
        {"tcp_established", "1: save established TCP connections", 1, &s->image.tcp_established},
        {"shell_job", "1: the process may have a terminal and a session of others", 1,
         &s->image.shell_job},
        {"ext_unix_sk", "1: the process may have Unix sockets that lead to others", 1,
         &s->image.ext_unix_sk},
        {"leave_running", "0: end the process after each checkpoint", 1, &s->leave_running},
        {"pre_dump",
         "how often memory is saved before the process is stopped, so that little "
         "is left then (0 to 16; the kernel has to track changes)",
         0, &s->pre_dump},
        {"increments",
         "after each whole image, how many hold only what has changed since the one "
         "before (0 to 1000; the kernel has to track changes)",
         0, &s->increments},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        *all[i].value = all[i].by_default;
        int r = number(all[i].name, all[i].help, all[i].value);
        if (r < 0)
            return r;
    }
    return OPAL_SUCCESS;
}

static int register_params(void)
{
    struct criu_settings *s = &criu_settings;
    int r = register_numbers();
    if (r < 0)
        return r;
    r = string("log", "name of CRIU's log file, in the snapshot's directory", "criu.log",
               &s->image.log);
    if (r < 0)
        return r;
    r = string("binary", "CRIU's program: a path, or a name that is looked for in PATH", "criu",
               &s->binary);
    return r < 0 ? r : OPAL_SUCCESS;
}

static int close_component(void)
{
    free(criu_settings.image.log);
    free(criu_settings.binary);
    free(criu_settings.program);
    criu_settings = (struct criu_settings){0};
    return OPAL_SUCCESS;
}

/* What a parameter's type doesn't say. NULL: all is well. */
static const char *wrong_setting(const struct criu_settings *s)
{
    if (!s->image.log || !*s->image.log || strchr(s->image.log, '/'))
        return "crs_criu_log has to be a name without '/'";
    if (!s->binary || !*s->binary)
        return "crs_criu_binary has to be a path or a name";
    if (s->image.log_level < 0 || s->image.log_level > 4)
        return "crs_criu_log_level has to be 0 to 4";
    if (s->pre_dump < 0 || s->pre_dump > 16)
        return "crs_criu_pre_dump has to be 0 to 16";
    if (s->increments < 0 || s->increments > 1000)
        return "crs_criu_increments has to be 0 to 1000";
    return NULL;
}

static int query(mca_base_module_t **module, int *priority)
{
    struct criu_settings *s = &criu_settings;
    const mca_base_component_t *component = &mca_crs_criu_component.base_version;
    struct crs_error err = {0};
    const char *wrong = wrong_setting(s);
    if (wrong)
        return mca_base_component_unavailable(component, "%s", wrong);
    free(s->program);
    s->program = NULL;
    if (program_find(s->binary, &s->program, &err) < 0 ||
        program_check_privileges(s->program, &s->image.unprivileged, &err) < 0 ||
        image_check(s->program, &err) < 0)
        return mca_base_component_unavailable(component, "%s", err.text);
    *module = (mca_base_module_t *)&criu_module;
    *priority = mca_crs_criu_component.priority;
    return OPAL_SUCCESS;
}
