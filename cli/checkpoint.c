/* checkpoint.c - crs checkpoint: save a running program */
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/io.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/stopped.h"
#include "service/child.h"
#include "service/direct.h"
#include "service/job.h"
#include "service/request.h"

struct arguments {
    int json, terminate, stop, only, group, session, timeout_ms, tcp, unix_sockets, pipes, form;
    int save_files, freeze, full;
    int nice;
    uint64_t limit;
    const char *name, *output, *store, *compress, *base, *key_file;
};

static const struct cli_option options[] = {
    {"name", 'n', CLI_TEXT, offsetof(struct arguments, name), .metavar = "NAME",
     .help = "the snapshot's name (default: the job's)"},
    {"output", 'o', CLI_TEXT, offsetof(struct arguments, output), .metavar = "PATH",
     .words = "@file", .help = "make it at PATH, not in the store; -: to standard output"},
    {"form", 0, CLI_CHOICE, offsetof(struct arguments, form), .metavar = "FORM",
     .words = "directory stream", .help = "what PATH becomes: directory (default) or stream"},
    {"terminate", 0, CLI_FLAG, offsetof(struct arguments, terminate), .value = 1,
     .help = "end the program once the snapshot is safe"},
    {"stop", 0, CLI_FLAG, offsetof(struct arguments, stop), .value = 1,
     .help = "leave the program stopped"},
    {"only", 0, CLI_FLAG, offsetof(struct arguments, only), .value = 1,
     .help = "save the process alone, without its descendants"},
    {"group", 0, CLI_FLAG, offsetof(struct arguments, group), .value = 1,
     .help = "save its process group"},
    {"session", 0, CLI_FLAG, offsetof(struct arguments, session), .value = 1,
     .help = "save its session"},
    {"freeze", 0, CLI_CHOICE, offsetof(struct arguments, freeze), .metavar = "HOW",
     .words = "auto stop live fork",
     .help = "copy memory while it runs (live), from a fork, or in the stop"},
    {"base", 0, CLI_TEXT, offsetof(struct arguments, base), .metavar = "SNAPSHOT",
     .words = "@snapshot", .help = "share with it what hasn't changed (default: its newest)"},
    {"full", 0, CLI_FLAG, offsetof(struct arguments, full), .value = 1,
     .help = "write all anew: no base"},
    {"timeout", 't', CLI_DURATION, offsetof(struct arguments, timeout_ms), .metavar = "DUR",
     .help = "give up after DUR: 500ms, 10s, 2m, 1h"},
    {"compress", 'c', CLI_TEXT, offsetof(struct arguments, compress), .metavar = "C",
     .words = "auto none lz4 zstd", .help = "auto (default), none, lz4, zstd or zstd:LEVEL"},
    {"limit", 0, CLI_RATE, offsetof(struct arguments, limit), .metavar = "RATE",
     .help = "write no more than RATE bytes a second: 500K, 100M, 1.5G"},
    {"nice", 0, CLI_FLAG, offsetof(struct arguments, nice), .value = 1,
     .help = "leave processors and disks to others while the program runs"},
    {"tcp", 0, CLI_CHOICE, offsetof(struct arguments, tcp), .metavar = "POLICY",
     .words = "refuse close keep",
     .help = "TCP connections to others: refuse (default), close or keep"},
    {"unix", 0, CLI_CHOICE, offsetof(struct arguments, unix_sockets), .metavar = "POLICY",
     .words = "refuse close reconnect",
     .help = "unix sockets to other programs: refuse, close or reconnect"},
    {"pipes", 0, CLI_CHOICE, offsetof(struct arguments, pipes), .metavar = "POLICY",
     .words = "refuse give", .help = "pipes to other programs: refuse, or give (see restart --fd)"},
    {"save-files", 0, CLI_SET, offsetof(struct arguments, save_files), .value = CRS_SAVE_ALL,
     .metavar = "WHICH", .words = "exe private shared all",
     .help = "mapped files with their content: exe,private,shared or all"},
    {"key-file", 0, CLI_TEXT, offsetof(struct arguments, key_file), .metavar = "FILE",
     .words = "@file", .help = "encrypt it with the key in FILE (default: $CRS_KEY_FILE)"},
    CLI_STORE(arguments),
    CLI_JSON(arguments),
    CLI_HELP,
    CLI_END,
};

/* ---- signals: a checkpoint is cancelled, the program goes on ---- */

static volatile int cancel;

static void on_signal(int sig)
{
    cancel = sig;
}

static void watch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal}, old;

    for (size_t i = 0; i < ELEMENTS(signals); i++)
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
}

/* ---- the target ---- */

/* 0: it is a PID; -ENOENT: it is none. */
static int parse_pid(const char *text, pid_t *ret)
{
    uint64_t n;

    if (strspn(text, "0123456789") != strlen(text))
        return -ENOENT;
    if (parse_number(text, INT_MAX, &n) < 0 || n == 0)
        return -ERANGE;
    *ret = (pid_t)n;
    return 0;
}

/* The job that the target is, or, for a process that is no job, only its PID in job->program. */
static int find_target(const struct arguments *a, const char *target, struct job *ret,
                       struct crs_error *err)
{
    pid_t pid;
    int r = parse_pid(target, &pid);

    if (r == -ERANGE)
        return crs_fail(err, CRS_USAGE, EINVAL, "'%s' is no PID", target);
    if (r == -ENOENT)
        return job_find(a->store, target, ret, err);
    if (job_find_pid(a->store, pid, ret, NULL) < 0)
        ret->program.pid = pid;
    return 0;
}

static int checkpoint_target(const struct job *job, struct crs_checkpoint_options *o,
                             struct crs_checkpoint_result *ret, struct crs_error *err)
{
    int r = -ECONNREFUSED;

    if (job->name) {
        o->store = job->store;
        if (!o->name && !o->output && !o->stream_fd)
            o->name = job->name;
    }
    if (job->supervisor.pid)
        r = request_checkpoint(job, o, ret, err);
    if (r != -ECONNREFUSED)
        return r;
    /* Nobody answers for it (its supervisor is stopped, or was killed): do it from here. */
    struct crs_error no_answer = err ? *err : (struct crs_error){0};
    r = direct_checkpoint(job->program.pid, o, ret, err);
    if (r == -EPERM && job->supervisor.pid)
        crs_fail_at(err, r, "%s", no_answer.text);
    return r;
}

/* ---- the result ---- */

/* What became of the program; NULL: no memory for it. */
static char *what_then(enum crs_afterwards afterwards, pid_t pid)
{
    _cleanup_free_ char *start = NULL;

    switch (afterwards) {
    case CRS_TERMINATE:
        return strdup("; the program was ended");
    case CRS_STOP:
        start = stopped_command(pid);
        return start ? format_string("; the program is stopped, %s starts it", start) : NULL;
    case CRS_CONTINUE:
        break;
    }
    return strdup("");
}

static void print_words(FILE *file, const struct crs_checkpoint_result *r,
                        enum crs_afterwards afterwards, pid_t pid)
{
    char size[UNIT_TEXT_SIZE], pause[UNIT_TEXT_SIZE], total[UNIT_TEXT_SIZE];
    char fresh[UNIT_TEXT_SIZE], shared[UNIT_TEXT_SIZE + 20] = "";
    _cleanup_free_ char *then = what_then(afterwards, pid);

    if (r->base)
        snprintf(shared, sizeof(shared), " (%s of it new)", format_size(r->new_bytes, fresh));
    fprintf(file, "%s: %s%s, paused for %s, %s in total (%u process%s, %u thread%s)%s\n",
            r->name ? r->name : r->path, format_size(r->size_bytes, size), shared,
            format_us(r->pause_us, pause), format_us(r->total_us, total), r->n_processes,
            r->n_processes == 1 ? "" : "es", r->n_threads, r->n_threads == 1 ? "" : "s",
            then ? then : "");
}

static void print_json(FILE *file, const struct crs_checkpoint_result *r, const struct job *job,
                       enum crs_afterwards afterwards)
{
    static const char *const then[] = {
        [CRS_CONTINUE] = "continue", [CRS_TERMINATE] = "terminate", [CRS_STOP] = "stop"};
    static const char *const how[] = {
        [CRS_FREEZE_STOP] = "stop", [CRS_FREEZE_LIVE] = "live", [CRS_FREEZE_FORK] = "fork"};
    json_t *document = json_pack(
        "{s:o, s:s?, s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:o, s:I}", "path",
        output_text(r->path), "name", r->name, "pid", (int)job->program.pid, "afterwards",
        then[afterwards], "freeze", how[r->freeze], "size_bytes", (json_int_t)r->size_bytes,
        "memory_bytes", (json_int_t)r->memory_bytes, "pause_us", (json_int_t)r->pause_us,
        "longest_stop_us", (json_int_t)r->longest_stop_us, "total_us", (json_int_t)r->total_us,
        "processes", (int)r->n_processes, "threads", (int)r->n_threads, "base",
        r->base ? output_text(r->base) : json_null(), "new_bytes", (json_int_t)r->new_bytes);

    json_object_set_new(document, "peak_memory_bytes", json_integer(r->peak_memory_bytes));
    json_object_set_new(document, "buffer_bytes", json_integer(r->buffer_bytes));
    output_document(file, document);
}

static int fail(const struct arguments *a, int r, const struct crs_error *err)
{
    if (cancel && (r == -ECANCELED || r == -EINTR)) {
        fprintf(stderr, "crs checkpoint: cancelled; the program goes on\n");
        child_end_like(W_EXITCODE(0, cancel));
    }
    return output_error("checkpoint", a->json, err);
}

/* Standard output is the snapshot's, and what is said goes to standard error. */
static bool to_stdout(const struct arguments *a)
{
    return a->output && strcmp(a->output, "-") == 0;
}

/* A path that means the same to another process, which may be the one that writes there. */
static int absolute_path(const char *path, char **ret)
{
    _cleanup_free_ char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);

    if (path[0] != '/' && !cwd)
        return -errno;
    *ret = cwd ? format_string("%s/%s", cwd, path) : strdup(path);
    return *ret ? 0 : -ENOMEM;
}

static int checkpoint(const struct arguments *a, const char *target)
{
    struct crs_checkpoint_options o = CRS_CHECKPOINT_OPTIONS_INIT;
    struct crs_checkpoint_result result = {0};
    struct output_progress progress;
    struct crs_error error = {0};
    const char *key_file = a->key_file ? a->key_file : getenv("CRS_KEY_FILE");
    _cleanup_free_ char *output = NULL, *base = NULL, *key = NULL;
    _cleanup_job_ struct job job = {0};
    FILE *said = to_stdout(a) ? stderr : stdout;
    int r = a->output && !to_stdout(a) ? absolute_path(a->output, &output) : 0;

    if (r == 0 && a->base && strchr(a->base, '/'))
        r = absolute_path(a->base, &base);
    if (r == 0 && key_file && *key_file)
        r = absolute_path(key_file, &key);
    if (r < 0)
        return output_failure("checkpoint", a->json, CRS_FAILED,
                              "can't tell the current directory: %s", strerror(-r));
    r = find_target(a, target, &job, &error);
    if (r < 0)
        return output_error("checkpoint", a->json, &error);
    o.output = output;
    o.stream_fd = to_stdout(a) ? STDOUT_FILENO : 0;
    o.form = a->form ? (enum crs_form)(a->form - 1) : CRS_FORM_DIRECTORY;
    o.store = a->store;
    o.name = a->name;
    o.afterwards = a->terminate ? CRS_TERMINATE : a->stop ? CRS_STOP : CRS_CONTINUE;
    o.scope = a->only ? CRS_ONLY : a->group ? CRS_GROUP : a->session ? CRS_SESSION : CRS_TREE;
    o.timeout_ms = a->timeout_ms;
    o.compress = a->compress;
    o.tcp = a->tcp ? (enum crs_tcp)(a->tcp - 1) : CRS_TCP_REFUSE;
    o.pipes = a->pipes ? (enum crs_pipes)(a->pipes - 1) : CRS_PIPES_REFUSE;
    o.unix_sockets = a->unix_sockets ? (enum crs_unix)(a->unix_sockets - 1) : CRS_UNIX_REFUSE;
    o.base = base ? base : a->base;
    o.full = a->full;
    o.save_files = a->save_files > CRS_SAVE_ALL ? CRS_SAVE_ALL : a->save_files;
    o.freeze = a->freeze ? (enum crs_freeze)(a->freeze - 1) : CRS_FREEZE_AUTO;
    o.limit_bytes_per_second = a->limit;
    o.nice = a->nice;
    o.key_file = key;
    o.progress = output_progress_show;
    o.progress_arg = &progress;
    o.cancel = &cancel;
    output_progress_begin(&progress, "checkpoint", a->json);
    watch_signals();
    r = checkpoint_target(&job, &o, &result, &error);
    output_progress_end(&progress);
    if (r < 0)
        return fail(a, r, &error);
    if (a->json)
        print_json(said, &result, &job, o.afterwards);
    else
        print_words(said, &result, o.afterwards, job.program.pid);
    crs_checkpoint_result_clear(&result);
    return output_finish("checkpoint");
}

static int check_form(const struct arguments *a)
{
    const bool as_directory = a->form && (enum crs_form)(a->form - 1) != CRS_FORM_STREAM;

    if (a->form && !a->output)
        return cli_usage(&command_checkpoint,
                         "--form is for --output: the store has directories only");
    return to_stdout(a) ? cli_check_stdout(&command_checkpoint, as_directory) : CLI_GO_ON;
}

static int run(int argc, char **argv)
{
    struct arguments a = {0};
    struct cli_operands operands;
    struct crs_error error = {0};
    int r = cli_parse(&command_checkpoint, argc, argv, &a, &operands);

    if (r == CLI_GO_ON)
        r = cli_check_operands(&command_checkpoint, &operands, 1, 1,
                               "the target, a PID or a job's name,");
    if (r != CLI_GO_ON)
        return r;
    if (to_stdout(&a))
        output_json_to_stderr();
    r = check_form(&a);
    if (r != CLI_GO_ON)
        return r;
    if (a.terminate && a.stop)
        return cli_usage(&command_checkpoint, "--terminate and --stop exclude each other");
    if (a.only + a.group + a.session > 1)
        return cli_usage(&command_checkpoint, "--only, --group and --session exclude each other");
    if (a.base && a.full)
        return cli_usage(&command_checkpoint, "--base and --full exclude each other");
    if (a.base && (to_stdout(&a) || (a.form && (enum crs_form)(a.form - 1) == CRS_FORM_STREAM)))
        return cli_usage(&command_checkpoint,
                         "a stream has all of its pages in itself: it can't have a --base");
    if (a.name && a.output)
        return cli_usage(&command_checkpoint, "--name and --output exclude each other");
    if (a.name && job_check_name(a.name, &error) < 0)
        return output_error("checkpoint", a.json, &error);
    return checkpoint(&a, operands.items[0]);
}

const struct cli_command command_checkpoint = {
    .name = "checkpoint",
    .summary = "Save a running program into a snapshot; it goes on running",
    .synopsis = "[OPTION...] TARGET",
    .operands = "@target",
    .options = options,
    .examples = {{"crs checkpoint sim", "save the job 'sim' and all its processes, which go on"},
                 {"crs checkpoint --terminate --timeout 5m sim",
                  "save it and end it, or leave it alone if that takes longer"},
                 {"crs checkpoint --output - sim | ssh host crs restart -",
                  "bring a copy of it up on another machine"}},
    .run = run,
};
