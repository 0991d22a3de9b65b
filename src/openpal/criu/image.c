/*
 * image.c - what is asked of CRIU: is all there, save, restore
 */
#include <errno.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "openpal/criu/image.h"
#include "openpal/criu/journal.h"
#include "openpal/criu/keeper.h"
#include "openpal/criu/streams.h"
#include "openpal/criu/worker.h"

#define CAUSE_BYTES 400

static char directory_of_worker[] = WORKER_DIRECTORY;

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
    char copy[CRS_ERROR_TEXT_SIZE];
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
    CriuRpc__Options options = CRIU_RPC__OPTIONS__INIT;
    CriuRpc__Request request = CRIU_RPC__REQUEST__INIT;
    options.images_dir_fd = -1;
    options.images_dir = directory_of_worker;
    options.has_log_to_stderr = options.log_to_stderr = true;
    options.has_unprivileged = options.unprivileged = geteuid() != 0;
    request.type = CRIU_RPC__REQUEST_TYPE__CHECK;
    request.opts = &options;
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
    struct worker_how how = {.program = program, .directory = "/", .stderr_fd = words};
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
    struct worker_how how = {.program = program, .directory = "/", .stderr_fd = -1};
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
                       const char *log)
{
    options->images_dir_fd = -1;
    options->images_dir = directory_of_worker;
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
    set_common(options, dump->settings, dump->settings->log);
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
    struct worker_how how = {.program = dump->program,
                             .directory = dump->directory,
                             .stderr_fd = -1,
                             .finish = dump->finish,
                             .arg = dump->arg};
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

static bool is_child(pid_t pid)
{
    siginfo_t info;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* What a failed restore has begun is ended, and was the caller's child. */
static void reap_rest(pid_t pid)
{
    if (!is_child(pid))
        return;
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void set_streams(CriuRpc__Options *options, const struct streams_pipes *pipes,
                        CriuRpc__Inherit inherits[STREAMS_COUNT],
                        CriuRpc__Inherit *list[STREAMS_COUNT])
{
    for (size_t i = 0; i < pipes->n; i++) {
        criu_rpc__inherit__init(&inherits[i]);
        inherits[i].key = (char *)pipes->key[i];
        inherits[i].fd = KEEPER_STDIO_FD + pipes->number[i];
        list[i] = &inherits[i];
    }
    options->n_inherit_fd = pipes->n;
    options->inherit_fd = list;
}

static int restore_by(struct worker *worker, const char *directory,
                      const struct image_settings *settings, const struct streams_pipes *pipes,
                      pid_t pid, struct crs_error *err)
{
    CriuRpc__Options options = CRIU_RPC__OPTIONS__INIT;
    CriuRpc__Request request = CRIU_RPC__REQUEST__INIT;
    CriuRpc__Inherit inherits[STREAMS_COUNT], *list[STREAMS_COUNT];
    _cleanup_response_ CriuRpc__Response *response = NULL;
    _cleanup_free_ char *log = format_string("restore-%s", settings->log);
    if (!log)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory");
    set_common(&options, settings, log);
    options.has_rst_sibling = options.rst_sibling = true;
    set_streams(&options, pipes, inherits, list);
    request.type = CRIU_RPC__REQUEST_TYPE__RESTORE;
    request.opts = &options;
    int r = call(worker, &request, &response, err);
    if (r < 0 && r != -EPIPE)
        return r;
    if (r < 0 || !response->success)
        return fail_of_log(err, "restore the process", directory, log, response);
    if (!response->restore || response->restore->pid != pid)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "CRIU has restored another process than %d",
                        (int)pid);
    return 0;
}

/* Why the old PID can't be had. */
static int fail_of_pid(pid_t pid, struct crs_error *err)
{
    char path[64], name[64] = "?", state = '?';
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%*d (%63[^)]) %c", name, &state) == 2 && state == 'Z')
        return crs_fail(err, CRS_BUSY, EEXIST,
                        "the PID %d is that of a process (%s) that has ended, but whose parent "
                        "hasn't waited for it: CRIU needs it; try again when it is gone",
                        (int)pid, name);
    if (file)
        return crs_fail(err, CRS_BUSY, EEXIST,
                        "the PID %d is in use (%s), and CRIU needs it: end that process, or "
                        "restart in a PID namespace of its own",
                        (int)pid, name);
    return crs_fail(err, CRS_BUSY, EEXIST,
                    "a PID or thread ID of the saved process %d is in use, and CRIU needs all of "
                    "them: try again, or restart in a PID namespace of its own",
                    (int)pid);
}

static int run_restore(const struct worker_how *how, const struct image_settings *settings,
                       const struct streams_pipes *pipes, pid_t pid, struct crs_error *err)
{
    struct worker worker = WORKER_NONE;
    int r = worker_start(how, &worker, err);
    if (r < 0)
        return r;
    r = restore_by(&worker, how->directory, settings, pipes, pid, err);
    worker_end(&worker, NULL);
    return r;
}

int image_restore(const char *program, const char *directory, const struct image_settings *settings,
                  pid_t pid, struct crs_error *err)
{
    struct streams_pipes pipes;
    struct crs_error local = {0};
    struct worker_how how = {
        .program = program, .directory = directory, .as_child = true, .stderr_fd = -1};
    if (streams_read(directory, &pipes) < 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s/%s is damaged", directory, STREAMS_FILE);
    if (kill(pid, 0) == 0 || errno == EPERM)
        return fail_of_pid(pid, err);
    int r = run_restore(&how, settings, &pipes, pid, &local);
    if (r == 0)
        return 0;
    reap_rest(pid);
    if (local.kind == CRS_BUSY)
        return fail_of_pid(pid, err);
    *err = local;
    return r;
}
