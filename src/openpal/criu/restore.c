/*
 * restore.c - a process from its images
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "openpal/criu/image.h"
#include "openpal/criu/keeper.h"
#include "openpal/criu/request.h"
#include "openpal/criu/streams.h"

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
    request_set_common(&options, settings, log);
    options.has_rst_sibling = options.rst_sibling = true;
    set_streams(&options, pipes, inherits, list);
    request.type = CRIU_RPC__REQUEST_TYPE__RESTORE;
    request.opts = &options;
    int r = request_call(worker, &request, &response, err);
    if (r < 0 && r != -EPIPE)
        return r;
    if (r < 0 || !response->success)
        return request_fail_of_log(err, "restore the process", directory, log, response);
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

/* What the process gets for its pipes. */
static int set_outputs(const struct streams_pipes *pipes, struct restore_outputs *outputs,
                       int stdio[3], struct crs_error *err)
{
    for (size_t i = 0; i < pipes->n; i++) {
        int number = pipes->number[i], r;
        if (number == 0 || !relay_is_needed(number))
            continue;
        r = relay_start(number, &outputs->relay[number], err);
        if (r < 0)
            return r;
        stdio[number] = outputs->relay[number].pipe_fd;
    }
    return 0;
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

static int run_with_outputs(struct worker_how *how, const struct image_settings *settings,
                            const struct streams_pipes *pipes, pid_t pid,
                            struct restore_outputs *outputs, struct crs_error *err)
{
    int stdio[3] = {0, 1, 2};
    int r = set_outputs(pipes, outputs, stdio, err);
    if (r < 0)
        return r;
    how->stdio = stdio;
    r = run_restore(how, settings, pipes, pid, err);
    for (int i = 0; i < 3; i++) {
        cleanup_close(&outputs->relay[i].pipe_fd);
        outputs->relay[i].pipe_fd = -1;
    }
    return r;
}

void restore_outputs_end(struct restore_outputs *outputs, bool flush)
{
    for (int i = 0; i < 3; i++) {
        if (flush)
            relay_flush(&outputs->relay[i]);
        relay_close(&outputs->relay[i]);
    }
}

int image_restore(const char *program, const char *directory, const struct image_settings *settings,
                  pid_t pid, struct restore_outputs *ret, struct crs_error *err)
{
    struct streams_pipes pipes;
    struct crs_error local = {0};
    struct restore_outputs outputs = {{RELAY_NONE, RELAY_NONE, RELAY_NONE}};
    struct worker_how how = {
        .program = program, .directory = directory, .as_child = true, .stderr_fd = -1};
    if (streams_read(directory, &pipes) < 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s/%s is damaged", directory, STREAMS_FILE);
    if (kill(pid, 0) == 0 || errno == EPERM)
        return fail_of_pid(pid, err);
    int r = run_with_outputs(&how, settings, &pipes, pid, &outputs, &local);
    if (r == 0) {
        *ret = outputs;
        return 0;
    }
    restore_outputs_end(&outputs, false);
    reap_rest(pid);
    if (local.kind == CRS_BUSY)
        return fail_of_pid(pid, err);
    *err = local;
    return r;
}
