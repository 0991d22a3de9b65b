/* opal_checkpoint.c - ask a process of Open PAL for a checkpoint of itself */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/units.h"
#include "cli/tool.h"
#include "cli/openpal/ask.h"
#include "cli/openpal/parameters.h"
#include "cli/openpal/snapshots.h"
#include "openpal/runtime/protocol.h"

struct arguments {
    bool verbose, status, list;
    unsigned flags;
    int timeout_ms;
    const char *name, *where;
};

enum { VERBOSE = 1, QUIET, TERM, STOP, NAME, WHERE, NOWAIT, STATUS, LIST, TIMEOUT };

static const struct tool_option options[] = {
    {"term", 0, TERM, .help = "end the process after the checkpoint"},
    {"stop", 0, STOP, .help = "leave it stopped (SIGSTOP) after the checkpoint"},
    {"name", 'n', NAME, TOOL_VALUE, .metavar = "NAME", .help = "call the snapshot NAME"},
    {"where", 'w', WHERE, TOOL_VALUE, .metavar = "DIR", .words = "@dir",
     .help = "make it in DIR; with --list: show those there"},
    {"nowait", 0, NOWAIT, .help = "end when the request has been accepted"},
    {"timeout", 't', TIMEOUT, TOOL_VALUE, .metavar = "TIME",
     .help = "give up when it hasn't begun to save after TIME (30s, 2m)"},
    {"status", 's', STATUS, .help = "show each step, with the time"},
    {"list", 'l', LIST, .help = "show the snapshots, of process PID or all"},
    {"verbose", 'v', VERBOSE, .help = "say what is done"},
    {"quiet", 'q', QUIET, .help = "say nothing but errors"},
    {"help", 'h', TOOL_HELP, .help = "show this help (as -?)"},
    {"version", 0, TOOL_VERSION, .help = "show the version"},
    {0},
};

static int take(void *arguments, int id, const char *value);

static const struct tool tool = {
    .name = "opal-checkpoint",
    .manual = "opal_checkpoint",
    .summary = "Ask a process that has called opal_init() for a checkpoint of itself",
    .synopsis = "[-mca NAME VALUE]... [OPTION...] PID",
    .operands = "@pid",
    .options = options,
    .usage = CRS_USAGE,
    .take = take,
};

static bool quiet;

static int take(void *arguments, int id, const char *value)
{
    struct arguments *a = arguments;

    switch (id) {
    case TERM:
        a->flags |= PROTOCOL_TERM;
        break;
    case STOP:
        a->flags |= PROTOCOL_STOP;
        break;
    case NOWAIT:
        a->flags |= PROTOCOL_NOWAIT;
        break;
    case NAME:
        a->name = value;
        break;
    case WHERE:
        a->where = value;
        break;
    case TIMEOUT:
        if (parse_duration(value, &a->timeout_ms) < 0 || a->timeout_ms <= 0)
            return tool_usage(&tool, "--timeout: '%s' is no time above 0", value);
        break;
    case STATUS:
        a->status = true;
        break;
    case LIST:
        a->list = true;
        break;
    case VERBOSE:
        a->verbose = true;
        break;
    case QUIET:
        quiet = true;
        break;
    }
    return TOOL_GO_ON;
}

static int fail(const struct crs_error *error)
{
    fprintf(stderr, "opal-checkpoint: %s\n", error->text);
    return error->kind == CRS_OK ? CRS_FAILED : (int)error->kind;
}

/* ---- steps ---- */

struct steps {
    const struct arguments *a;
    pid_t pid;
    uint64_t begin_us, last_us;
};

static const char *const state_words[] = {
    [ASK_REQUESTED] = "Requested",
    [ASK_PENDING] = "Pending",
    [ASK_RUNNING] = "Running",
    [ASK_ESTABLISHED] = "Checkpoint Established",
    [ASK_CONTINUING] = "Continuing/Recovered",
    [ASK_STOPPED] = "Stopped",
    [ASK_TERMINATED] = "Terminated",
    [ASK_ERROR] = "Error",
};

/* A delay is told in any case: who asked shall know why nothing happens. */
static void each(enum ask_state state, const char *words, void *arg)
{
    struct steps *s = arg;
    uint64_t now = now_us();

    if (s->a->status) {
        printf("[%6.2f / %6.2f] %s%s%s\n", (double)(now - s->last_us) / 1e6,
               (double)(now - s->begin_us) / 1e6, state_words[state], words ? ": " : "",
               words ? words : "");
        fflush(stdout);
    } else if (state == ASK_PENDING && !quiet) {
        fprintf(stderr, "opal-checkpoint: process %d: delayed: %s\n", s->pid, words);
    } else if (s->a->verbose && state != ASK_ERROR) {
        fprintf(stderr, "opal-checkpoint: process %d: %s\n", s->pid, state_words[state]);
    }
    s->last_us = now;
}

/* ---- the request ---- */

static int check(const struct arguments *a)
{
    if (a->flags & PROTOCOL_TERM && a->flags & PROTOCOL_STOP)
        return tool_usage(&tool, "--term and --stop can't be together");
    if (a->flags & PROTOCOL_NOWAIT && a->timeout_ms)
        return tool_usage(&tool, "--nowait doesn't wait: --timeout has nothing to limit");
    if (a->flags & PROTOCOL_NOWAIT && a->status)
        return tool_usage(&tool, "--nowait doesn't wait: --status has nothing to show");
    if (a->name && (!a->name[0] || strlen(a->name) >= PROTOCOL_NAME))
        return tool_usage(&tool, "--name: 1 to 200 bytes");
    return TOOL_GO_ON;
}

/* The process may run in another directory. */
static int make_absolute(const char *where, char **ret, struct crs_error *err)
{
    _cleanup_free_ char *here = NULL;

    if (where[0] == '/') {
        *ret = strdup(where);
    } else {
        here = getcwd(NULL, 0);
        *ret = here ? format_string("%s/%s", here, where) : NULL;
    }
    if (!*ret)
        return crs_fail_errno(err, CRS_FAILED, "can't find out where %s is", where);
    return strlen(*ret) < PATH_MAX ? 0
                                   : crs_fail(err, CRS_USAGE, ENAMETOOLONG, "%s is too long", *ret);
}

static int end_by_signal(int sig)
{
    sigset_t set;

    fprintf(stderr, "opal-checkpoint: %s\n", strsignal(sig));
    fflush(stdout);
    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    raise(sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    return 128 + sig;
}

static int request(const struct arguments *a, pid_t pid, const char *where)
{
    _cleanup_target_ struct target target = TARGET_INIT;
    _cleanup_free_ char *tmp_dir = parameters_string("opal", "cr", "tmp_dir");
    struct ask_result result = {0};
    struct crs_error error = {0};
    uint64_t now = now_us();
    struct steps steps = {a, pid, now, now};
    struct ask ask = {a->flags, (uint64_t)a->timeout_ms, a->name, where, tmp_dir, each, &steps};
    int r = target_open(pid, &target, &error);

    if (r == 0)
        r = ask_process(&target, &ask, &result, &error);
    if (r < 0 && result.signal)
        return end_by_signal(result.signal);
    if ((r == 0 || result.established) && !quiet)
        printf("Local Snapshot Reference = %s\n", result.handle);
    return r < 0 ? fail(&error) : 0;
}

static int run(const struct arguments *a, const struct tool_operands *operands)
{
    bool given;
    _cleanup_free_ char *standard = snapshots_directory(&given), *where = NULL;
    const char *wanted = a->where ? a->where : given ? standard : NULL;
    struct crs_error error = {0};
    uint64_t pid = 0;

    if (operands->n > 1 || (operands->n == 0 && !a->list))
        return tool_usage(&tool, "one PID is needed");
    if (operands->n == 1 && !tool_parse_id(operands->items[0], INT32_MAX, &pid))
        return tool_usage(&tool, "'%s' is no PID", operands->items[0]);
    if (wanted && make_absolute(wanted, &where, &error) < 0)
        return fail(&error);
    if (a->list)
        return snapshots_list(where, (int)pid, &error) < 0 ? fail(&error) : 0;
    return request(a, (pid_t)pid, where);
}

int main(int argc, char **argv)
{
    struct arguments a = {0};
    struct tool_operands operands;
    struct crs_error error = {0};
    int r;

    if (parameters_open(&argc, &argv, false, &error) < 0)
        return fail(&error);
    r = tool_parse(&tool, argc, argv, &a, &operands);
    if (r == TOOL_GO_ON)
        r = check(&a);
    if (r == TOOL_GO_ON)
        r = run(&a, &operands);
    parameters_close();
    return r;
}
