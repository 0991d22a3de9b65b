/* request.c - a request for a checkpoint, and its answers, on both sides of the socket */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "bytes_json.h"
#include "job_file.h"
#include "request.h"
#include "wire.h"

static const char *const afterwards_names[] = {
    [CRS_CONTINUE] = "continue", [CRS_TERMINATE] = "terminate", [CRS_STOP] = "stop"};

static const char *const scope_names[] = {
    [CRS_TREE] = "tree", [CRS_ONLY] = "only", [CRS_GROUP] = "group", [CRS_SESSION] = "session"};
static const char *const tcp_names[] = {
    [CRS_TCP_REFUSE] = "refuse", [CRS_TCP_CLOSE] = "close", [CRS_TCP_KEEP] = "keep"};
static const char *const unix_names[] = {
    [CRS_UNIX_REFUSE] = "refuse", [CRS_UNIX_CLOSE] = "close", [CRS_UNIX_RECONNECT] = "reconnect"};
static const char *const pipes_names[] = {"refuse", "give"};

static const char *const form_names[] = {
    [CRS_FORM_DIRECTORY] = "directory", [CRS_FORM_STREAM] = "stream"};
static const char *const freeze_names[] = {[CRS_FREEZE_AUTO] = "auto",
                                           [CRS_FREEZE_STOP] = "stop",
                                           [CRS_FREEZE_LIVE] = "live",
                                           [CRS_FREEZE_FORK] = "fork"};

/* The number of a name; -EINVAL: it is none of them. */
static int find_name(const char *text, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, names[i]) == 0)
            return (int)i;
    return -EINVAL;
}

/* ---- the client's side ---- */

static int unreachable(const char *who, const char *why, struct crs_error *err)
{
    return crs_fail(err, CRS_BUSY, ECONNREFUSED, "%s %s", who, why);
}

static int connect_job(const struct job *job, const char *who, int *ret_fd, struct crs_error *err)
{
    _cleanup_close_ int dirfd = -1;
    struct sockaddr_un address;

    if (job->supervisor.pid == 0)
        return crs_fail(err, CRS_NOT_FOUND, ECONNREFUSED, "job %s has no supervisor", job->name);
    int r = job_open_directory(job->store, job->name, &dirfd, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a socket");
    wire_address(dirfd, JOB_SOCKET, &address);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        if (errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN)
            return unreachable(who, "doesn't listen", err);
        return crs_fail_errno(err, CRS_FAILED, "can't connect to %s", who);
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static json_t *request_json(const struct crs_checkpoint_options *options)
{
    json_t *message =
        json_pack("{s:i, s:s, s:s, s:i}", "schema", 1, "request", "checkpoint", "afterwards",
                  afterwards_names[options->afterwards], "timeout_ms", options->timeout_ms);

    if (message && options->scope != CRS_TREE)
        json_object_set_new(message, "scope", json_string(scope_names[options->scope]));
    if (message && options->name)
        json_object_set_new(message, "name", bytes_to_json(options->name));
    if (message && options->output)
        json_object_set_new(message, "output", bytes_to_json(options->output));
    if (message && options->compress)
        json_object_set_new(message, "compress", bytes_to_json(options->compress));
    if (message && options->tcp != CRS_TCP_REFUSE)
        json_object_set_new(message, "tcp", json_string(tcp_names[options->tcp]));
    if (message && options->pipes)
        json_object_set_new(message, "pipes", json_string(pipes_names[options->pipes]));
    if (message && options->unix_sockets)
        json_object_set_new(message, "unix", json_string(unix_names[options->unix_sockets]));
    if (message && options->form == CRS_FORM_STREAM)
        json_object_set_new(message, "form", json_string(form_names[options->form]));
    if (message && options->freeze)
        json_object_set_new(message, "freeze", json_string(freeze_names[options->freeze]));
    if (message && options->base)
        json_object_set_new(message, "base", bytes_to_json(options->base));
    if (message && options->key_file)
        json_object_set_new(message, "key_file", bytes_to_json(options->key_file));
    if (message && options->full)
        json_object_set_new(message, "full", json_true());
    if (message && options->save_files)
        json_object_set_new(message, "save_files", json_integer(options->save_files));
    if (message && options->limit_bytes_per_second)
        json_object_set_new(message, "limit_bytes_per_second",
                            json_integer((json_int_t)options->limit_bytes_per_second));
    if (message && options->nice)
        json_object_set_new(message, "nice", json_true());
    if (message && options->stream_fd)
        json_object_set_new(message, "stream", json_true());
    return message;
}

static void report(const struct crs_checkpoint_options *options, const json_t *message,
                   const char *warning)
{
    json_int_t done = 0, total = 0;
    const char *phase = "";

    if (!options->progress)
        return;
    json_unpack((json_t *)message, "{s?s, s?I, s?I}", "phase", &phase, "done_bytes", &done,
                "total_bytes", &total);
    struct crs_progress progress = {
        .phase = phase, .done_bytes = done, .total_bytes = total, .warning = warning};
    options->progress(&progress, options->progress_arg);
}

static int take_result(const json_t *message, struct crs_checkpoint_result *ret,
                       struct crs_error *err)
{
    json_int_t size = 0, memory = 0, pause = 0, longest = 0, total = 0, peak = 0, buffers = 0,
               new_bytes = 0;
    const char *name = NULL, *freeze = "stop";
    const json_t *path = NULL, *base = NULL;
    int processes = 0, threads = 0;

    if (json_unpack((json_t *)message,
                    "{s:o, s?s, s:I, s:I, s:I, s:I, s:i, s:i, s?s, s?I, s?I, s?I, s?o, s?I}",
                    "path", &path, "name", &name, "size_bytes", &size, "memory_bytes", &memory,
                    "pause_us", &pause, "total_us", &total, "processes", &processes, "threads",
                    &threads, "freeze", &freeze, "longest_stop_us", &longest, "peak_memory_bytes",
                    &peak, "buffer_bytes", &buffers, "base", &base, "new_bytes", &new_bytes) < 0)
        return crs_fail(err, CRS_FAILED, EPROTO, "the supervisor's answer is not understood");
    int how = find_name(freeze, freeze_names, ELEMENTS(freeze_names));
    struct crs_checkpoint_result result = {.path = bytes_from_json(path),
                                           .name = name ? strdup(name) : NULL,
                                           .base = base ? bytes_from_json(base) : NULL,
                                           .new_bytes = new_bytes,
                                           .size_bytes = size,
                                           .memory_bytes = memory,
                                           .pause_us = pause,
                                           .longest_stop_us = longest,
                                           .total_us = total,
                                           .n_processes = processes,
                                           .n_threads = threads,
                                           .peak_memory_bytes = peak,
                                           .buffer_bytes = buffers,
                                           .freeze = how > CRS_FREEZE_AUTO ? (enum crs_freeze)how
                                                                           : CRS_FREEZE_STOP};
    if (!result.path || (name && !result.name) || (base && !result.base)) {
        crs_checkpoint_result_clear(&result);
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    *ret = result;
    return 0;
}

static int take_error(const json_t *message, struct crs_error *err)
{
    _cleanup_free_ char *text = bytes_from_json(json_object_get(message, "text"));
    int kind = CRS_FAILED, errnum = 0;

    json_unpack((json_t *)message, "{s?i, s?i}", "kind", &kind, "errnum", &errnum);
    return crs_fail(err, (enum crs_kind)kind, errnum > 0 ? errnum : EIO, "%s",
                    text ? text : "no reason given");
}

/* 1: go on reading. */
static int take_message(const json_t *message, const struct crs_checkpoint_options *options,
                        struct crs_checkpoint_result *ret, struct crs_error *err)
{
    const char *event = json_string_value(json_object_get(message, "event"));
    _cleanup_free_ char *warning = bytes_from_json(json_object_get(message, "text"));

    if (!event)
        return crs_fail(err, CRS_FAILED, EPROTO, "the supervisor's answer is not understood");
    if (strcmp(event, "result") == 0)
        return take_result(message, ret, err);
    if (strcmp(event, "error") == 0)
        return take_error(message, err);
    if (strcmp(event, "progress") == 0)
        report(options, message, NULL);
    if (strcmp(event, "warning") == 0)
        report(options, message, warning);
    return 1;
}

/* Who is to answer. */
struct answerer {
    const char *who;                      /* "the supervisor of job x (PID 7)" */
    const struct job_process *supervisor; /* NULL: a helper of ours */
    pid_t helper;
};

/* A cancel closes our direction only, or is a signal: the last word still comes. */
static void send_cancel(const struct answerer *from, int fd)
{
    if (from->supervisor)
        shutdown(fd, SHUT_WR);
    else
        kill(from->helper, SIGTERM);
}

static int await_answer(struct wire *wire, const struct answerer *from,
                        const struct crs_checkpoint_options *options,
                        struct crs_checkpoint_result *ret, struct crs_error *err)
{
    bool accepted = false, cancelled = false;

    for (;;) {
        struct pollfd readable = {.fd = wire->fd, .events = POLLIN};
        json_t *message = NULL;
        int r = wire_read(wire, &message);

        if (r >= 0) {
            accepted = true;
            r = take_message(message, options, ret, err);
            json_decref(message);
            if (r <= 0)
                return r;
            continue;
        }
        if (r != -EAGAIN)
            return crs_fail(err, CRS_FAILED, -r, "%s ended before it answered", from->who);
        if (options->cancel && *options->cancel && !cancelled) {
            cancelled = true;
            send_cancel(from, wire->fd);
        }
        /* A second: a signal that came just before the poll doesn't interrupt it. */
        if (poll(&readable, 1, 1000) == 0 && !accepted && from->supervisor &&
            job_process_stopped(from->supervisor))
            return unreachable(from->who, "is stopped: continue it first (fg, or kill -CONT)", err);
    }
}

int request_checkpoint(const struct job *job, const struct crs_checkpoint_options *options,
                       struct crs_checkpoint_result *ret, struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    char who[300];
    struct answerer from = {who, &job->supervisor, 0};

    snprintf(who, sizeof(who), "the supervisor of job %s (PID %d)", job->name,
             (int)job->supervisor.pid);
    int r = connect_job(job, who, &fd, err);
    if (r < 0)
        return r;
    _cleanup_wire_ struct wire wire = {.fd = fd};
    /* Where sending fails, the supervisor's reason can still be read. */
    if (options->stream_fd)
        wire_send_with_fd(fd, request_json(options), options->stream_fd);
    else
        wire_send(fd, request_json(options), true);
    r = await_answer(&wire, &from, options, ret, err);
    return job_say_if_ended(job->program.pid, r, err); /* the supervisor ends with its program */
}

int request_await_helper(int fd, pid_t helper, const struct crs_checkpoint_options *options,
                         struct crs_checkpoint_result *ret, struct crs_error *err)
{
    _cleanup_wire_ struct wire wire = {.fd = fd};
    struct answerer from = {"the process that made the checkpoint", NULL, helper};

    return await_answer(&wire, &from, options, ret, err);
}

/* ---- the supervisor's side ---- */

int request_listen(int dirfd, int *ret_fd, struct crs_error *err)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;

    if (fd < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a socket");
    wire_address(dirfd, JOB_SOCKET, &address);
    /* The mode of the socket becomes that of its file. */
    if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, 16) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't listen on " JOB_SOCKET);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int request_check_peer(int fd, pid_t *ret_pid, struct crs_error *err)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't tell who asks");
    if (peer.uid != geteuid() && peer.uid != 0)
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM, "the job belongs to another user (UID %u)",
                        (unsigned)geteuid());
    *ret_pid = peer.pid;
    return 0;
}

void request_clear(struct request *request)
{
    json_decref(request->json);
    free(request->output);
    free(request->base);
    free(request->key_file);
    if (request->stream_fd > 0)
        close(request->stream_fd);
    *request = (struct request){0};
}

/* The directory of the request, with the bytes that it has on disk. */
static int parse_output(struct request *request, const json_t *output, struct crs_error *err)
{
    if (!output)
        return 0;
    request->output = bytes_from_json(output);
    if (!request->output || request->output[0] != '/')
        return crs_fail(err, CRS_USAGE, EINVAL, "the request's directory is not understood");
    request->options.output = request->output;
    return 0;
}

static int parse_base(struct request *request, const json_t *base, struct crs_error *err)
{
    if (!base)
        return 0;
    request->base = bytes_from_json(base);
    if (!request->base)
        return crs_fail(err, CRS_USAGE, EINVAL, "the request's base is not understood");
    request->options.base = request->base;
    return 0;
}

static int parse_key_file(struct request *request, const json_t *path, struct crs_error *err)
{
    if (!path)
        return 0;
    request->key_file = bytes_from_json(path);
    if (!request->key_file || request->key_file[0] != '/')
        return crs_fail(err, CRS_USAGE, EINVAL, "the request's key file has no absolute path");
    request->options.key_file = request->key_file;
    return 0;
}

/* The words of a request. */
struct choices {
    const char *afterwards, *scope, *tcp, *unix_sockets, *pipes, *form, *freeze;
};

static int parse_choices(const struct choices *words, struct crs_checkpoint_options *options)
{
    int then = find_name(words->afterwards, afterwards_names, ELEMENTS(afterwards_names));
    int which = find_name(words->scope, scope_names, ELEMENTS(scope_names));
    int tcp = find_name(words->tcp, tcp_names, ELEMENTS(tcp_names));
    int unix_sockets = find_name(words->unix_sockets, unix_names, ELEMENTS(unix_names));
    int pipes = find_name(words->pipes, pipes_names, ELEMENTS(pipes_names));
    int form = find_name(words->form, form_names, ELEMENTS(form_names));
    int freeze = find_name(words->freeze, freeze_names, ELEMENTS(freeze_names));

    if (then < 0 || which < 0 || tcp < 0 || unix_sockets < 0 || pipes < 0 || form < 0 || freeze < 0)
        return -EINVAL;
    options->freeze = (enum crs_freeze)freeze;
    options->form = (enum crs_form)form;
    options->afterwards = (enum crs_afterwards)then;
    options->scope = (enum crs_scope)which;
    options->tcp = (enum crs_tcp)tcp;
    options->unix_sockets = (enum crs_unix)unix_sockets;
    options->pipes = (enum crs_pipes)pipes;
    return 0;
}

static int parse_request(struct request *request, struct crs_error *err)
{
    struct crs_checkpoint_options *options = &request->options;
    struct choices words = {"continue", "tree", "refuse", "refuse", "refuse", "directory", "auto"};
    int stream = 0, save_files = 0, nice = 0;
    json_int_t limit = 0;
    const char *what;
    json_t *output = NULL, *base = NULL, *key_file = NULL;
    json_error_t where;

    /* Strict: what isn't known here can't be done as the client means it. */
    if (json_unpack_ex(request->json, &where, JSON_STRICT,
                       "{s:i, s:s, s?s, s?s, s?s, s?s, s?s, s?s, s?i, s?o, s?s, s?s, s?b, s?i, "
                       "s?s, s?I, s?b, s?o, s?b, s?o}",
                       "schema", &(int){0}, "request", &what, "name", &options->name, "afterwards",
                       &words.afterwards, "scope", &words.scope, "tcp", &words.tcp, "unix",
                       &words.unix_sockets, "pipes", &words.pipes, "timeout_ms",
                       &options->timeout_ms, "output", &output, "compress", &options->compress,
                       "form", &words.form, "stream", &stream, "save_files", &save_files, "freeze",
                       &words.freeze, "limit_bytes_per_second", &limit, "nice", &nice, "base",
                       &base, "full", &options->full, "key_file", &key_file) < 0)
        return crs_fail(err, CRS_USAGE, EINVAL, "the request is not understood: %s", where.text);
    if (strcmp(what, "checkpoint") != 0)
        return crs_fail(err, CRS_USAGE, EINVAL, "no such request: '%s'", what);
    options->save_files = (unsigned)save_files;
    options->limit_bytes_per_second = (uint64_t)limit;
    options->nice = nice;
    if (parse_choices(&words, options) < 0 || options->timeout_ms < 0 || limit < 0)
        return crs_fail(err, CRS_USAGE, EINVAL, "the request's values are not understood");
    if (stream && request->stream_fd <= 0)
        return crs_fail(err, CRS_USAGE, EBADF,
                        "the descriptor that the snapshot is to be written to didn't come");
    options->stream_fd = stream ? request->stream_fd : 0;
    int r = parse_output(request, output, err);
    if (r == 0)
        r = parse_base(request, base, err);
    return r == 0 ? parse_key_file(request, key_file, err) : r;
}

int request_read(int fd, int stop_fd, int timeout_ms, struct request *ret, struct crs_error *err)
{
    uint64_t deadline_us = now_us() + (uint64_t)timeout_ms * 1000;
    _cleanup_wire_ struct wire wire = {.fd = fd, .takes_fd = true};
    json_t *message = NULL;
    int r;

    while ((r = wire_read(&wire, &message)) == -EAGAIN) {
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};
        uint64_t now = now_us();

        if (now >= deadline_us)
            return crs_fail(err, CRS_TIMED_OUT, ETIMEDOUT, "no request came");
        poll(fds, 2, (int)((deadline_us - now) / 1000) + 1);
        if (fds[1].revents)
            return crs_fail(err, CRS_NOT_FOUND, ECANCELED, "the job has ended");
    }
    if (r < 0)
        return crs_fail(err, CRS_USAGE, -r, "the request is not understood");
    struct request request = {
        .json = message, .stream_fd = wire.passed_fd, .options = CRS_CHECKPOINT_OPTIONS_INIT};
    wire.passed_fd = 0;
    r = parse_request(&request, err);
    if (r < 0)
        request_clear(&request);
    else
        *ret = request;
    return r;
}

void request_answer_accepted(int fd)
{
    wire_send(fd, json_pack("{s:i, s:s}", "schema", 1, "event", "accepted"), true);
}

void request_answer_progress(int fd, const struct crs_progress *progress)
{
    json_t *message =
        progress->warning
            ? json_pack("{s:i, s:s, s:o}", "schema", 1, "event", "warning", "text",
                        bytes_to_json(progress->warning))
            : json_pack("{s:i, s:s, s:s, s:I, s:I}", "schema", 1, "event", "progress", "phase",
                        progress->phase, "done_bytes", (json_int_t)progress->done_bytes,
                        "total_bytes", (json_int_t)progress->total_bytes);

    /* The program stands still meanwhile: progress doesn't wait for a slow reader. */
    wire_send(fd, message, false);
}

void request_answer_result(int fd, const struct crs_checkpoint_result *result)
{
    json_t *message = json_pack(
        "{s:i, s:s, s:o, s:I, s:I, s:I, s:I, s:i, s:i, s:s, s:I}", "schema", 1, "event", "result",
        "path", bytes_to_json(result->path), "size_bytes", (json_int_t)result->size_bytes,
        "memory_bytes", (json_int_t)result->memory_bytes, "pause_us", (json_int_t)result->pause_us,
        "total_us", (json_int_t)result->total_us, "processes", (int)result->n_processes, "threads",
        (int)result->n_threads, "freeze", freeze_names[result->freeze], "longest_stop_us",
        (json_int_t)result->longest_stop_us);

    if (message && result->name)
        json_object_set_new(message, "name", json_string(result->name));
    if (message && result->base)
        json_object_set_new(message, "base", bytes_to_json(result->base));
    if (message)
        json_object_set_new(message, "new_bytes", json_integer(result->new_bytes));
    json_object_set_new(message, "peak_memory_bytes", json_integer(result->peak_memory_bytes));
    json_object_set_new(message, "buffer_bytes", json_integer(result->buffer_bytes));
    wire_send(fd, message, true);
}

void request_answer_error(int fd, const struct crs_error *err)
{
    wire_send(fd,
              json_pack("{s:i, s:s, s:i, s:i, s:o}", "schema", 1, "event", "error", "kind",
                        (int)err->kind, "errnum", err->errnum, "text", bytes_to_json(err->text)),
              true);
}
