/*
 * blcr.c - the component `blcr`: the whole process is saved, by this project's libcr
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "libcr.h"
#include "opal/util/output.h"
#include "openpal/crs/base_internal.h"
#include "openpal/crs/blcr.h"
#include "openpal/crs/components.h"

static int query(mca_base_module_t **module, int *priority);
static int register_parameters(void);

opal_crs_base_component_t mca_crs_blcr_component = {
    .base_version =
        {
            OPAL_CRS_BASE_VERSION_2_0_0,
            .mca_component_name = "blcr",
            .mca_component_major_version = OPAL_MAJOR_VERSION,
            .mca_component_minor_version = OPAL_MINOR_VERSION,
            .mca_component_release_version = OPAL_RELEASE_VERSION,
            .mca_query_component = query,
            .mca_register_component_params = register_parameters,
        },
    .base_data = {.param_field = MCA_BASE_METADATA_PARAM_CHECKPOINT},
    .output_handle = -1,
    .priority = 10,
};

static int dev_null;
static _Thread_local unsigned depth; /* of the thread's critical sections */

/* ---- the component ---- */

static int register_parameters(void)
{
    opal_crs_base_component_t *me = &mca_crs_blcr_component;
    const mca_base_component_t *base = &me->base_version;

    mca_base_param_reg_int(base, "priority", "Priority of the component in the selection", false,
                           false, 10, &me->priority);
    mca_base_param_reg_int(base, "verbose", "How much the component logs; 0: only errors", false,
                           false, 0, &me->verbose);
    mca_base_param_reg_int(base, "dev_null",
                           "1: for measurements, images go to /dev/null: nothing can be restarted",
                           false, false, 0, &dev_null);
    return OPAL_SUCCESS;
}

/* ---- its functions ---- */

static int init(void)
{
    return cr_init() >= 0 ? OPAL_SUCCESS
                          : opal_crs_base_fail(OPAL_ERROR, "cr_init: %s", cr_strerror(errno));
}

static int finalize(void)
{
    return OPAL_SUCCESS;
}

static int describe(opal_crs_base_snapshot_t *snapshot, const char *path)
{
    const char *name = strcmp(path, BLCR_NOTHING) == 0 ? path : strrchr(path, '/') + 1;

    return opal_crs_base_metadata_write_token(snapshot->local_location, CRS_METADATA_CONTEXT, name);
}

/* It has stood still since the save. What was asked for happens to it when the snapshot is safe:
 * SIGKILL, because its own end could remove what its restart needs. Else it goes on. */
static void let_go(int pidfd, bool was_stopped, const opal_crs_base_ckpt_options_t *options,
                   bool safe)
{
    if (safe && options->term)
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    else if (!was_stopped && !(safe && options->stop))
        syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0);
}

/* In /proc/PID/stat the state stands behind the name, which ends with the last parenthesis. */
static bool is_stopped(pid_t pid)
{
    char path[32], text[256];
    size_t n;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    text[n] = '\0';
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' && end[2] == 'T';
}

static int save_other(pid_t pid, const char *path, opal_crs_base_snapshot_t *snapshot,
                      opal_crs_base_ckpt_options_t *options, opal_crs_state_type_t *state)
{
    bool hold = options && (options->term || options->stop), was_stopped = is_stopped(pid);
    struct opal_crs_blcr_wish wish = {pid, hold ? SIGSTOP : 0, path};
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int r;

    if (pidfd < 0)
        return opal_crs_base_fail(OPAL_ERR_NOT_FOUND, "process %d: %m", (int)pid);
    r = opal_crs_blcr_save(&wish, state);
    if (r != OPAL_SUCCESS)
        return r;
    r = describe(snapshot, path);
    if (r == OPAL_SUCCESS && hold)
        r = opal_crs_base_snapshot_commit(snapshot);
    if (hold)
        let_go(pidfd, was_stopped, options, r == OPAL_SUCCESS);
    return r;
}

/* It would wait for itself. */
static int refuse_inside(void)
{
    return opal_crs_base_fail(OPAL_ERR_RESOURCE_BUSY,
                              "the thread that wants a checkpoint is in a critical section "
                              "(crs_disable_checkpoint()); leave it first");
}

/* The snapshot is complete before it stops. Its end is the runtime's. */
static int save_self(const char *path, opal_crs_base_snapshot_t *snapshot,
                     opal_crs_base_ckpt_options_t *options, opal_crs_state_type_t *state)
{
    struct opal_crs_blcr_wish wish = {getpid(), 0, path};
    int r = depth > 0 ? refuse_inside() : opal_crs_blcr_save(&wish, state);

    if (r != OPAL_SUCCESS || *state == OPAL_CRS_RESTART)
        return r;
    r = describe(snapshot, path);
    if (r != OPAL_SUCCESS || !options || !options->stop)
        return r;
    r = opal_crs_base_snapshot_commit(snapshot);
    if (r == OPAL_SUCCESS)
        kill(getpid(), SIGSTOP);
    return r;
}

static int checkpoint(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                      opal_crs_base_ckpt_options_t *options, opal_crs_state_type_t *state)
{
    pid_t target = pid != 0 ? pid : getpid();
    _cleanup_free_ char *path = NULL;
    int r;

    *state = OPAL_CRS_ERROR;
    if (dev_null)
        path = strdup(BLCR_NOTHING);
    else if (asprintf(&path, "%s/%s%d", snapshot->local_location, BLCR_CONTEXT_PREFIX,
                      (int)target) < 0)
        path = NULL;
    if (!path)
        return OPAL_ERR_OUT_OF_RESOURCE;
    opal_output_verbose(10, mca_crs_blcr_component.output_handle, "crs:blcr: saving %d to %s",
                        (int)target, path);
    r = target == getpid() ? save_self(path, snapshot, options, state)
                           : save_other(target, path, snapshot, options, state);
    if (r != OPAL_SUCCESS)
        *state = OPAL_CRS_ERROR;
    return r;
}

/* A thread that libcr doesn't know yet, or that is a child's after fork(). */
static int change_section(int (*change)(cr_client_id_t id))
{
    int r = change(0);

    if (r < 0 && errno == CR_ENOINIT && cr_init() >= 0)
        r = change(0);
    return r >= 0 ? OPAL_SUCCESS
                  : opal_crs_base_fail(OPAL_ERROR, "critical section: %s", cr_strerror(errno));
}

static int disable(void)
{
    int r = change_section(cr_enter_cs);

    depth += r == OPAL_SUCCESS;
    return r;
}

static int enable(void)
{
    int r = change_section(cr_leave_cs);

    depth -= r == OPAL_SUCCESS;
    return r;
}

/* ---- the selection ---- */

static opal_crs_base_module_t module_of_blcr = {
    .crs_init = init,
    .crs_finalize = finalize,
    .crs_checkpoint = checkpoint,
    .crs_restart = opal_crs_blcr_restart,
    .crs_disable_checkpoint = disable,
    .crs_enable_checkpoint = enable,
    .crs_reg_thread = init,
};

/* As libcr looks for it. */
static bool has_tool(char path[PATH_MAX])
{
    const char *place = secure_getenv("CRS_LIBEXEC");

    snprintf(path, PATH_MAX, "%s/crs-request", place && *place ? place : CRS_LIBEXECDIR);
    return access(path, X_OK) == 0;
}

/* 3: nobody may hold a process, whoever it is. */
static bool holding_is_off(void)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");

    return file && fgetc(file) == '3';
}

static int query(mca_base_module_t **module, int *priority)
{
    opal_crs_base_component_t *me = &mca_crs_blcr_component;
    char path[PATH_MAX];

    if (!has_tool(path))
        return mca_base_component_unavailable(&me->base_version,
                                              "%s, which makes the checkpoints, isn't there: "
                                              "install OpenCRS whole",
                                              path);
    if (holding_is_off())
        return mca_base_component_unavailable(&me->base_version,
                                              "kernel.yama.ptrace_scope is 3: no process may be "
                                              "held to be saved, until the machine starts anew "
                                              "with another value");
    *module = (mca_base_module_t *)&module_of_blcr;
    *priority = me->priority;
    return OPAL_SUCCESS;
}
