/*
 * module.c - the functions of the interface
 *
 * A snapshot is CRIU's images. A process that saves itself is left running: it is stopped by itself
 * once the snapshot is complete, or ended by the runtime. With the parameter leave_running 0, and
 * where another process is stopped or ended, nothing of it runs after the saved instant: CRIU
 * leaves it stopped, the snapshot is made safe, then it is ended.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "opal/util/output.h"
#include "openpal/crs/base_internal.h"
#include "openpal/criu/chain.h"
#include "openpal/criu/family.h"
#include "openpal/criu/request.h"
#include "openpal/criu/settings.h"
#include "openpal/criu/supervise.h"

/* ---- words ---- */

static int tell(const struct crs_error *err)
{
    int code = err->kind == CRS_NOT_FOUND       ? OPAL_ERR_NOT_FOUND
               : err->kind == CRS_NOT_PERMITTED ? OPAL_ERR_PERM
               : err->kind == CRS_BUSY          ? OPAL_ERR_RESOURCE_BUSY
               : err->kind == CRS_USAGE         ? OPAL_ERR_BAD_PARAM
               : err->kind == CRS_STORAGE       ? OPAL_ERR_FILE_WRITE_FAILURE
                                                : OPAL_ERROR;
    return opal_crs_base_fail(code, "%s", err->text);
}

static void log_error(const char *line)
{
    opal_output_verbose(2, mca_crs_criu_component.output_handle, "crs:criu: CRIU's log: %s", line);
}

static int init(void)
{
    request_log = log_error;
    return OPAL_SUCCESS;
}

static int finalize(void)
{
    chain_end();
    return OPAL_SUCCESS;
}

static int succeed(void)
{
    return OPAL_SUCCESS;
}

/* ---- checkpoint ---- */

/* It has stood still since the save. When the snapshot is safe it is ended, or stays stopped; where
 * that fails it goes on, as if nothing had happened. */
static int commit(pid_t pid, opal_crs_base_snapshot_t *snapshot, bool term, bool was_stopped)
{
    int r = opal_crs_base_snapshot_commit(snapshot);
    if (r == OPAL_SUCCESS)
        return term ? family_signal(pid, SIGKILL) : 0;
    if (!was_stopped)
        family_signal(pid, SIGCONT);
    return EIO;
}

struct end_of_self {
    pid_t pid;
    opal_crs_base_snapshot_t *snapshot;
};

/* In the keeper: the process is stopped. */
static int end_self(void *arg)
{
    struct end_of_self *end = arg;
    return commit(end->pid, end->snapshot, true, false);
}

static int save_self(opal_crs_base_snapshot_t *snapshot,
                     const opal_crs_base_ckpt_options_t *options, struct image_dump *dump,
                     opal_crs_state_type_t *state)
{
    struct crs_error err = {0};
    struct end_of_self end = {.pid = getpid(), .snapshot = snapshot};
    bool restored;
    if (!criu_settings.leave_running) {
        dump->leave_stopped = true;
        dump->finish = end_self;
        dump->arg = &end;
    }
    if (chain_save(dump, opal_crs_base_snapshot_place(snapshot), &restored, &err) < 0)
        return tell(&err);
    *state = restored ? OPAL_CRS_RESTART : OPAL_CRS_CONTINUE;
    if (restored || !options || !options->stop)
        return OPAL_SUCCESS;
    int r = opal_crs_base_snapshot_commit(snapshot);
    if (r == OPAL_SUCCESS)
        kill(getpid(), SIGSTOP);
    return r;
}

static int save_other(opal_crs_base_snapshot_t *snapshot,
                      const opal_crs_base_ckpt_options_t *options, struct image_dump *dump,
                      opal_crs_state_type_t *state)
{
    struct crs_error err = {0};
    bool restored, term = !criu_settings.leave_running || (options && options->term);
    bool was_stopped = family_is_stopped(dump->pid);
    if (family_is_ancestor(dump->pid))
        return opal_crs_base_fail(OPAL_ERR_BAD_PARAM,
                                  "process %d is an ancestor of this one, which CRIU would save "
                                  "with it: have process %d save itself",
                                  (int)dump->pid, (int)dump->pid);
    dump->leave_stopped = term || (options && options->stop);
    if (image_dump(dump, &restored, &err) < 0)
        return tell(&err);
    *state = OPAL_CRS_CONTINUE;
    if (dump->leave_stopped && commit(dump->pid, snapshot, term, was_stopped))
        return opal_crs_base_fail(OPAL_ERR_FILE_WRITE_FAILURE,
                                  "the snapshot of process %d can't be completed; it goes on",
                                  (int)dump->pid);
    return OPAL_SUCCESS;
}

static int checkpoint(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                      opal_crs_base_ckpt_options_t *options, opal_crs_state_type_t *state)
{
    struct image_dump dump = {
        .program = criu_settings.program,
        .directory = snapshot->local_location,
        .settings = &criu_settings.image,
        .pid = pid == getpid() ? 0 : pid,
    };
    *state = OPAL_CRS_ERROR;
    int r = opal_crs_base_metadata_write_token(snapshot->local_location, CRS_METADATA_CONTEXT,
                                               IMAGE_FILE);
    if (r != OPAL_SUCCESS)
        return r;
    opal_output_verbose(1, mca_crs_criu_component.output_handle,
                        "crs:criu: saving process %d to %s", (int)(pid ? pid : getpid()),
                        snapshot->local_location);
    r = dump.pid ? save_other(snapshot, options, &dump, state)
                 : save_self(snapshot, options, &dump, state);
    if (r != OPAL_SUCCESS)
        *state = OPAL_CRS_ERROR;
    return r;
}

/* ---- restart ---- */

/* Only the old PID is known, and CRIU restores no other. */
static int read_pid(const char *directory, pid_t *ret)
{
    _cleanup_free_ char *name = NULL;
    int pid = 0;
    if (!directory || !image_exists(directory))
        return opal_crs_base_fail(OPAL_ERR_NOT_FOUND, "%s has no image of CRIU's (%s)",
                                  directory ? directory : "the snapshot", IMAGE_FILE);
    int r = opal_crs_base_extract_expected_component(directory, &name, &pid);
    if (r != OPAL_SUCCESS || pid <= 0)
        return opal_crs_base_fail(OPAL_ERR_NOT_FOUND, "%s/%s doesn't name a process", directory,
                                  CRS_METADATA_FILENAME);
    *ret = pid;
    return OPAL_SUCCESS;
}

static int restore(const char *directory, pid_t pid, struct restore_outputs *outputs)
{
    struct crs_error err = {0};
    int r =
        image_restore(criu_settings.program, directory, &criu_settings.image, pid, outputs, &err);
    return r < 0 ? tell(&err) : OPAL_SUCCESS;
}

/* The process has ended. */
static void flush(void *arg)
{
    restore_outputs_end(arg, true);
}

static int restart(opal_crs_base_snapshot_t *snapshot, bool spawn_child, pid_t *child_pid)
{
    struct supervision supervision;
    struct restore_outputs outputs;
    pid_t pid = 0;
    int r = read_pid(snapshot->local_location, &pid);
    if (r != OPAL_SUCCESS)
        return r;
    if (spawn_child) {
        r = restore(snapshot->local_location, pid, &outputs);
        if (r == OPAL_SUCCESS)
            restore_outputs_end(&outputs, false);
        if (r == OPAL_SUCCESS && child_pid)
            *child_pid = pid;
        return r;
    }
    supervise_begin(&supervision);
    r = restore(snapshot->local_location, pid, &outputs);
    if (r == OPAL_SUCCESS)
        supervise(pid, flush, &outputs);
    supervise_cancel(&supervision);
    return r;
}

opal_crs_base_module_t criu_module = {
    .crs_init = init,
    .crs_finalize = finalize,
    .crs_checkpoint = checkpoint,
    .crs_restart = restart,
    .crs_disable_checkpoint = succeed,
    .crs_enable_checkpoint = succeed,
    .crs_reg_thread = succeed,
};
