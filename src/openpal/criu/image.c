/*
 * image.c - what is asked of CRIU: is all there, save
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "openpal/criu/image.h"
#include "openpal/criu/journal.h"
#include "openpal/criu/request.h"
#include "openpal/criu/streams.h"

/* The first process of a PID namespace gets all orphans there as its children, keepers too. */
static bool is_first(void)
{
    return getpid() == 1;
}

/* ---- check ---- */

static int check_version(struct worker *worker, struct crs_error *err)
{
    CriuRpc__Request request = CRIU_RPC__REQUEST__INIT;
    request.type = CRIU_RPC__REQUEST_TYPE__VERSION;
    request.has_keep_open = request.keep_open = true;
    _cleanup_response_ CriuRpc__Response *response = NULL;
    int r = request_call(worker, &request, &response, err);
    if (r < 0)
        return r;
    const CriuRpc__Version *version = response->version;
    if (!response->success || !version)
        return request_fail(err, "tell its version", NULL, response);
    if (version->major < 3 || (version->major == 3 && version->minor < 19))
        return crs_fail(err, CRS_FAILED, ENOTSUP, "CRIU %d.%d is too old: %s or newer is needed",
                        version->major, version->minor, CRIU_OLDEST);
    return 0;
}

static int check_kernel(struct worker *worker, struct crs_error *err)
{
    CriuRpc__Options options = CRIU_RPC__OPTIONS__INIT;
    CriuRpc__Request request = CRIU_RPC__REQUEST__INIT;
    options.images_dir_fd = -1;
    options.images_dir = request_directory;
    options.has_log_to_stderr = options.log_to_stderr = true;
    options.has_unprivileged = options.unprivileged = geteuid() != 0;
    request.type = CRIU_RPC__REQUEST_TYPE__CHECK;
    request.opts = &options;
    _cleanup_response_ CriuRpc__Response *response = NULL;
    int r = request_call(worker, &request, &response, err);
    if (r < 0)
        return r;
    return response->success
               ? 0
               : request_fail(err, "work on this machine (criu check)", NULL, response);
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
    struct worker_how how = {
        .program = program, .directory = "/", .as_child = is_first(), .stderr_fd = words};
    struct worker worker = WORKER_NONE;
    char cause[CAUSE_BYTES];
    int r = worker_start(&how, &worker, err);
    if (r < 0)
        return r;
    r = check_by(&worker, err);
    worker_end(&worker, NULL);
    if (r < 0 && words >= 0 && journal_cause_of_fd(words, cause, sizeof(cause)))
        r = request_fail(err, "work on this machine (criu check)", cause, NULL);
    return r;
}

int image_can_track(const char *program, bool *ret, struct crs_error *err)
{
    struct worker_how how = {
        .program = program, .directory = "/", .as_child = is_first(), .stderr_fd = -1};
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
    r = request_call(&worker, &request, &response, err);
    worker_end(&worker, NULL);
    if (r < 0)
        return r;
    *ret = response->success && response->features && response->features->mem_track;
    return 0;
}

/* ---- dump ---- */

static void set_dump(CriuRpc__Options *options, const struct image_dump *dump)
{
    request_set_common(options, dump->settings, dump->settings->log);
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
    int r = request_call(worker, &request, &response, err);
    /* One that saves itself and is left stopped gets no answer of success: what the keeper tells
     * counts. */
    if (r == -EPIPE && err && err->kind == CRS_STORAGE)
        return r;
    if (r == -EPIPE)
        return request_fail_of_log(err, "save the process", dump->directory, dump->settings->log,
                                   NULL);
    if (r < 0)
        return r;
    if (!response->success)
        return request_fail_of_log(err, "save the process", dump->directory, dump->settings->log,
                                   response);
    *ret = TAKE_PTR(response);
    return 0;
}

static int run(const struct image_dump *dump, CriuRpc__RequestType type, bool *ret_restored,
               struct crs_error *err)
{
    struct worker_how how = {.program = dump->program,
                             .directory = dump->directory,
                             .as_child = is_first(),
                             .stderr_fd = -1,
                             .finish = dump->finish,
                             .arg = dump->arg};
    struct worker worker = WORKER_NONE;
    _cleanup_response_ CriuRpc__Response *response = NULL;
    if (dump->pid == 0 && is_first())
        return crs_fail(err, CRS_CANT_CHECKPOINT, EPERM,
                        "this process is the first of its PID namespace: all that is started there "
                        "is its child, and CRIU would save itself; start the program as a child of "
                        "another one (unshare --fork, a container's init)");
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
