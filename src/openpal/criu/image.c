/*
 * image.c - what is asked of CRIU: is all there, save, restore
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "openpal/criu/image.h"
#include "openpal/criu/journal.h"
#include "openpal/criu/keeper.h"
#include "openpal/criu/streams.h"
#include "openpal/criu/worker.h"

#define CAUSE_BYTES 400

DEFINE_CLEANUP(CriuRpc__Response, worker_response)
#define _cleanup_response_ _cleanup_(cleanup_worker_response)

/* ---- words ---- */

/* `doing` failed: the cause of the log, else what CRIU answered, else what the worker did. */
static int fail(struct crs_error *err, const char *doing, const char *cause,
                const CriuRpc__Response *response)
{
    const char *answered = response && response->cr_errmsg ? response->cr_errmsg : "";
    char words[CAUSE_BYTES];
    if (!cause && *answered && journal_cause(answered, words, sizeof(words)))
        cause = words;
    if (!cause)
        cause = *answered ? answered : err && *err->text ? err->text : "it gave no reason";
    char copy[CAUSE_BYTES];
    snprintf(copy, sizeof(copy), "%s", cause);
    int number = response ? response->cr_errno : 0;
    enum crs_kind kind = number == ESRCH    ? CRS_NOT_FOUND
                         : number == EEXIST ? CRS_BUSY
                         : number == EPERM  ? CRS_NOT_PERMITTED
                                            : CRS_FAILED;
    return crs_fail(err, kind, number, "CRIU can't %s: %s%s", doing, copy, journal_remedy(copy));
}

/* Of the log in the images' directory. */
static int fail_of_log(struct crs_error *err, const char *doing, const char *directory,
                       const char *log, const CriuRpc__Response *response)
{
    char path[4096], cause[CAUSE_BYTES];
    snprintf(path, sizeof(path), "%s/%s", directory, log);
    bool known = journal_cause_of_file(path, cause, sizeof(cause));
    return fail(err, doing, known ? cause : NULL, response);
}

/* ---- one request ---- */

/* Without an answer the worker's end is what there is to say. */
static int call(struct worker *worker, const CriuRpc__Request *request,
                CriuRpc__Response **ret_response, struct crs_error *err)
{
    struct crs_error of_end = {0};
    int r = worker_call(worker, request, ret_response, err);
    if (r == -EPIPE && worker_end(worker, &of_end) < 0 && err)
        *err = of_end;
    return r;
}

/* ---- check ---- */

static int check_version(struct worker *worker, struct crs_error *err)
{
    CriuRpc__Request request = CRIU_RPC__REQUEST__INIT;
    request.type = CRIU_RPC__REQUEST_TYPE__VERSION;
    request.has_keep_open = request.keep_open = true;
    _cleanup_response_ CriuRpc__Response *response = NULL;
    int r = call(worker, &request, &response, err);
    if (r < 0)
        return r;
    const CriuRpc__Version *version = response->version;
    if (!response->success || !version)
        return fail(err, "tell its version", NULL, response);
    if (version->major < 3 || (version->major == 3 && version->minor < 19))
        return crs_fail(err, CRS_FAILED, ENOTSUP, "CRIU %d.%d is too old: %s or newer is needed",
                        version->major, version->minor, CRIU_OLDEST);
    return 0;
}

static int check_kernel(struct worker *worker, struct crs_error *err)
{
    CriuRpc__Request request = CRIU_RPC__REQUEST__INIT;
    request.type = CRIU_RPC__REQUEST_TYPE__CHECK;
    _cleanup_response_ CriuRpc__Response *response = NULL;
    int r = call(worker, &request, &response, err);
    if (r < 0)
        return r;
    return response->success ? 0 : fail(err, "work on this machine (criu check)", NULL, response);
}

static int check_by(struct worker *worker, struct crs_error *err)
{
    int r = check_version(worker, err);
    return r < 0 ? r : check_kernel(worker, err);
}

/* One that doesn't even start says why on its standard error only. */
int image_check(const char *program, struct crs_error *err)
{
    _cleanup_close_ int words = memfd_create("criu-stderr", MFD_CLOEXEC);
    struct worker_how how = {.program = program, .stderr_fd = words};
    struct worker worker = WORKER_NONE;
    char cause[CAUSE_BYTES];
    int r = worker_start(&how, &worker, err);
    if (r < 0)
        return r;
    r = check_by(&worker, err);
    worker_end(&worker, NULL);
    if (r < 0 && words >= 0 && journal_cause_of_fd(words, cause, sizeof(cause)))
        r = fail(err, "work on this machine (criu check)", cause, NULL);
    return r;
}

int image_can_track(const char *program, bool *ret, struct crs_error *err)
{
    struct worker_how how = {.program = program, .stderr_fd = -1};
    struct worker worker = WORKER_NONE;
    CriuRpc__Features features = CRIU_RPC__FEATURES__INIT;
    features.has_mem_track = features.mem_track = true;
    CriuRpc__Request request = CRIU_RPC__REQUEST__INIT;
    request.type = CRIU_RPC__REQUEST_TYPE__FEATURE_CHECK;
    request.features = &features;
    _cleanup_response_ CriuRpc__Response *response = NULL;
    int r = worker_start(&how, &worker, err);
    if (r < 0)
        return r;
    r = call(&worker, &request, &response, err);
    worker_end(&worker, NULL);
    if (r < 0)
        return r;
    *ret = response->success && response->features && response->features->mem_track;
    return 0;
}

/* ---- dump ---- */

/* The strings stay the caller's. */
static void set_common(CriuRpc__Options *options, const struct image_settings *settings,
                       const char *directory, const char *log)
{
    options->images_dir_fd = -1;
    options->images_dir = (char *)directory;
    options->log_file = (char *)log;
    options->has_log_level = settings->log_level > 0;
    options->log_level = settings->log_level;
    options->has_tcp_established = options->has_ext_unix_sk = options->has_shell_job = true;
    options->tcp_established = settings->tcp_established;
    options->ext_unix_sk = settings->ext_unix_sk;
    options->shell_job = settings->shell_job;
    options->has_file_locks = options->file_locks = true;
    options->has_unprivileged = settings->unprivileged;
    options->unprivileged = settings->unprivileged;
}

static void set_dump(CriuRpc__Options *options, const struct image_dump *dump)
{
    set_common(options, dump->settings, dump->directory, dump->settings->log);
    options->has_pid = dump->pid != 0;
    options->pid = dump->pid;
    options->has_leave_running = true;
    options->leave_running = !dump->leave_stopped;
    options->has_leave_stopped = options->leave_stopped = dump->leave_stopped;
    options->has_track_mem = options->track_mem = dump->track || dump->parent;
    options->parent_img = (char *)dump->parent;
}

/* The answer of success, or the reason. */
static int ask(const struct image_dump *dump, CriuRpc__RequestType type, struct worker *worker,
               CriuRpc__Response **ret, struct crs_error *err)
{
    CriuRpc__Options options = CRIU_RPC__OPTIONS__INIT;
    CriuRpc__Request request = CRIU_RPC__REQUEST__INIT;
    _cleanup_response_ CriuRpc__Response *response = NULL;
    set_dump(&options, dump);
    request.type = type;
    request.opts = &options;
    int r = call(worker, &request, &response, err);
    if (r == -EPIPE)
        return fail_of_log(err, "save the process", dump->directory, dump->settings->log, NULL);
    if (r < 0)
        return r;
    if (!response->success)
        return fail_of_log(err, "save the process", dump->directory, dump->settings->log, response);
    *ret = TAKE_PTR(response);
    return 0;
}

static int run(const struct image_dump *dump, CriuRpc__RequestType type, bool *ret_restored,
               struct crs_error *err)
{
    struct worker_how how = {
        .program = dump->program, .stderr_fd = -1, .finish = dump->finish, .arg = dump->arg};
    struct worker worker = WORKER_NONE;
    _cleanup_response_ CriuRpc__Response *response = NULL;
    int r = worker_start(&how, &worker, err);
    if (r < 0)
        return r;
    r = ask(dump, type, &worker, &response, err);
    *ret_restored = r == 0 && response->dump && response->dump->restored;
    if (*ret_restored)
        worker_forget(&worker);
    else if (r == 0)
        r = worker_end(&worker, err);
    else
        worker_end(&worker, NULL);
    return r;
}

int image_dump(const struct image_dump *dump, bool *ret_restored, struct crs_error *err)
{
    int r = streams_note(dump->directory, dump->pid, err);
    return r < 0 ? r : run(dump, CRIU_RPC__REQUEST_TYPE__DUMP, ret_restored, err);
}

int image_pre_dump(const struct image_dump *dump, struct crs_error *err)
{
    bool restored;
    return run(dump, CRIU_RPC__REQUEST_TYPE__SINGLE_PRE_DUMP, &restored, err);
}

bool image_exists(const char *directory)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/" IMAGE_FILE, directory);
    return access(path, F_OK) == 0;
}

/* ---- restore ---- */

static int restore_by(struct worker *worker, const char *directory,
                      const struct image_settings *settings, const struct streams_pipes *pipes,
                      pid_t *ret_pid, struct crs_error *err)
{
    CriuRpc__Options options = CRIU_RPC__OPTIONS__INIT;
    CriuRpc__Request request = CRIU_RPC__REQUEST__INIT;
    CriuRpc__Inherit inherits[STREAMS_COUNT], *list[STREAMS_COUNT];
    char log[300];
    snprintf(log, sizeof(log), "restore-%s", settings->log);
    set_common(&options, settings, directory, log);
    options.has_rst_sibling = options.rst_sibling = true;
    for (size_t i = 0; i < pipes->n; i++) {
        criu_rpc__inherit__init(&inherits[i]);
        inherits[i].key = (char *)pipes->key[i];
        inherits[i].fd = KEEPER_STDIO_FD + pipes->number[i];
        list[i] = &inherits[i];
    }
    options.n_inherit_fd = pipes->n;
    options.inherit_fd = list;
    request.type = CRIU_RPC__REQUEST_TYPE__RESTORE;
    request.opts = &options;
    _cleanup_response_ CriuRpc__Response *response = NULL;
    int r = call(worker, &request, &response, err);
    if (r < 0 && r != -EPIPE)
        return r;
    if (r < 0 || !response->success || !response->restore || response->restore->pid <= 0)
        return fail_of_log(err, "restore the process", directory, log, response);
    *ret_pid = response->restore->pid;
    return 0;
}

int image_restore(const char *program, const char *directory, const struct image_settings *settings,
                  pid_t *ret_pid, struct crs_error *err)
{
    struct streams_pipes pipes;
    struct worker_how how = {.program = program, .as_child = true, .stderr_fd = -1};
    struct worker worker = WORKER_NONE;
    int r = streams_read(directory, &pipes);
    if (r < 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s/%s is damaged", directory, STREAMS_FILE);
    r = worker_start(&how, &worker, err);
    if (r < 0)
        return r;
    r = restore_by(&worker, directory, settings, &pipes, ret_pid, err);
    worker_end(&worker, NULL);
    return r;
}
