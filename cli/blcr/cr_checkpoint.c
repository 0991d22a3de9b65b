/* cr_checkpoint.c - save running processes into a context file */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/units.h"
#include "cli/blcr/behind.h"
#include "cli/blcr/context.h"
#include "cli/blcr/messages.h"
#include "cli/blcr/signals.h"
#include "libcr.h"
#include "requests/requests.h"
#include "service/child.h"

struct arguments {
    struct context_wish wish;
    int n_destinations;
    bool verbose, any;
    cr_scope_t scope;
    int signal;
    unsigned memory, traced, tracing; /* CR_CHKPT_* */
    unsigned timeout_s;
    enum messages_level level;
    pid_t id;
};

enum {
    VERBOSE = SIGNAL_END,
    QUIET,
    TREE,
    PROCESS,
    GROUP,
    SESSION,
    CWD,
    FILE_PATH,
    FD,
    DIRECTORY,
    ATOMIC,
    BACKUP,
    CLOBBER,
    NOCLOBBER,
    SYNC,
    NOSYNC,
    SAVE_EXE,
    SAVE_PRIVATE,
    SAVE_SHARED,
    SAVE_ALL,
    SAVE_NONE,
    PTRACED_ERROR,
    PTRACED_SKIP,
    PTRACED_ALLOW,
    PTRACER_ERROR,
    PTRACER_SKIP,
    KMSG_NONE,
    KMSG_ERROR,
    KMSG_WARNING,
    TIME,
    ANY,
};

static const struct tool_option options[] = {
    {"tree", 'T', TREE, .help = "save the process ID and all its descendants (default)"},
    {"pid", 'p', PROCESS, .help = "save the process ID alone"},
    {"process", 0, PROCESS, .help = "the same as --pid"},
    {"pgid", 'g', GROUP, .help = "save the process group ID"},
    {"group", 0, GROUP, .help = "the same as --pgid"},
    {"sid", 's', SESSION, .help = "save the session ID"},
    {"session", 0, SESSION, .help = "the same as --sid"},
    {"any", 0, ANY, .help = "save processes without a checkpoint library as well"},
    {"cwd", 'c', CWD, .help = "write context.ID in this directory (default)"},
    {"file", 'f', FILE_PATH, TOOL_VALUE, .metavar = "FILE", .words = "@file", .help = "write FILE"},
    {"fd", 'F', FD, TOOL_VALUE, .metavar = "FD", .help = "write to the open descriptor FD"},
    {"dir", 'd', DIRECTORY, TOOL_VALUE, .metavar = "DIR", .words = "@dir",
     .help = "make the directory DIR, in several files"},
    {"atomic", 0, ATOMIC, .help = "take an old file's place when complete (default)"},
    {"backup", 0, BACKUP, TOOL_OPTIONAL_VALUE, .metavar = "NAME", .words = "@file",
     .help = "the same, and keep the old one as NAME, or as FILE.~N~"},
    {"clobber", 0, CLOBBER, .help = "write over an old file"},
    {"noclobber", 0, NOCLOBBER, .help = "fail where there is an old file"},
    SIGNAL_OPTIONS("saved"),
    {"sync", 0, SYNC, .help = "end when it is on the disk (default)"},
    {"nosync", 0, NOSYNC, .help = "don't wait for the disk"},
    {"save-exe", 0, SAVE_EXE, .help = "save the executable file as well"},
    {"save-private", 0, SAVE_PRIVATE, .help = "files that are mapped privately: libraries"},
    {"save-shared", 0, SAVE_SHARED, .help = "files that are mapped shared"},
    {"save-all", 0, SAVE_ALL, .help = "all three"},
    {"save-none", 0, SAVE_NONE, .help = "none of them (default)"},
    {"ptraced-error", 0, PTRACED_ERROR, .help = "fail where a process is traced (default)"},
    {"ptraced-skip", 0, PTRACED_SKIP, .help = "leave out those that are traced"},
    {"ptraced-allow", 0, PTRACED_ALLOW, .help = "save them where that is possible"},
    {"ptracer-error", 0, PTRACER_ERROR, .help = "fail where one traces others (default)"},
    {"ptracer-skip", 0, PTRACER_SKIP, .help = "leave out those that trace others"},
    MESSAGES_OPTIONS(KMSG_NONE, KMSG_ERROR, KMSG_WARNING),
    {"time", 't', TIME, TOOL_VALUE, .metavar = "SEC",
     .help = "give up after SEC seconds; 0: never (default)"},
    {"verbose", 'v', VERBOSE, .help = "say what was done"},
    {"quiet", 'q', QUIET, .help = "say nothing on standard error"},
    {"help", 'h', TOOL_HELP, .help = "show this help (as -?)"},
    {"version", 0, TOOL_VERSION, .help = "show the version"},
    {0},
};

static int take(void *arguments, int id, const char *value);

static const struct tool tool = {
    .name = "cr_checkpoint",
    .summary = "Save running processes into a context file; they go on running",
    .synopsis = "[OPTION...] ID",
    .operands = "@pid",
    .options = options,
    .take = take,
};

/* ---- options ---- */

static int refuse(const char *option, const char *value, const char *what)
{
    tool_say("cr_checkpoint: --%s: '%s' is %s", option, value, what);
    return EINVAL;
}

static int take_destination(struct arguments *a, int id, const char *value)
{
    uint64_t fd = 0;

    a->n_destinations++;
    a->wish.kind = id == FD ? CONTEXT_FD : id == DIRECTORY ? CONTEXT_DIRECTORY : CONTEXT_FILE;
    a->wish.path = value;
    if (id == FD && parse_number(value, INT_MAX, &fd) < 0)
        return refuse("fd", value, "no descriptor");
    a->wish.fd = (int)fd;
    return TOOL_GO_ON;
}

static int take_time(struct arguments *a, const char *value)
{
    uint64_t seconds;

    if (parse_number(value, INT_MAX / 1000, &seconds) < 0)
        return refuse("time", value, "no number of seconds");
    a->timeout_s = (unsigned)seconds;
    return TOOL_GO_ON;
}

/* Those that set one field to one value. */
static bool take_plain(struct arguments *a, int id)
{
    static const struct {
        int id;
        size_t offset;
        unsigned value;
    } rows[] = {
        {TREE, offsetof(struct arguments, scope), CR_SCOPE_TREE},
        {PROCESS, offsetof(struct arguments, scope), CR_SCOPE_PROC},
        {GROUP, offsetof(struct arguments, scope), CR_SCOPE_PGRP},
        {SESSION, offsetof(struct arguments, scope), CR_SCOPE_SESS},
        {ATOMIC, offsetof(struct arguments, wish.policy), CONTEXT_ATOMIC},
        {CLOBBER, offsetof(struct arguments, wish.policy), CONTEXT_CLOBBER},
        {NOCLOBBER, offsetof(struct arguments, wish.policy), CONTEXT_NOCLOBBER},
        {PTRACED_ERROR, offsetof(struct arguments, traced), 0},
        {PTRACED_SKIP, offsetof(struct arguments, traced), CR_CHKPT_PTRACED_SKIP},
        {PTRACED_ALLOW, offsetof(struct arguments, traced), CR_CHKPT_PTRACED_ALLOW},
        {PTRACER_ERROR, offsetof(struct arguments, tracing), 0},
        {PTRACER_SKIP, offsetof(struct arguments, tracing), CR_CHKPT_PTRACER_SKIP},
        {SAVE_NONE, offsetof(struct arguments, memory), 0},
        {KMSG_NONE, offsetof(struct arguments, level), MESSAGES_NONE},
        {KMSG_ERROR, offsetof(struct arguments, level), MESSAGES_ERROR},
        {KMSG_WARNING, offsetof(struct arguments, level), MESSAGES_WARNING},
    };
    _Static_assert(sizeof(enum messages_level) == sizeof(unsigned), "fields are of one size");

    for (size_t i = 0; i < ELEMENTS(rows); i++)
        if (rows[i].id == id) {
            *(unsigned *)((char *)a + rows[i].offset) = rows[i].value;
            return true;
        }
    return false;
}

static int take(void *arguments, int id, const char *value)
{
    struct arguments *a = arguments;
    int r = signals_take(&tool, id, value, &a->signal);

    if (r != 0)
        return r;
    switch (id) {
    case CWD:
    case FILE_PATH:
    case FD:
    case DIRECTORY:
        return take_destination(a, id, value);
    case BACKUP:
        a->wish.policy = CONTEXT_BACKUP;
        a->wish.backup = value;
        break;
    case SYNC:
    case NOSYNC:
        a->wish.sync = id == SYNC;
        break;
    case SAVE_EXE:
        a->memory |= CR_CHKPT_DUMP_EXEC;
        break;
    case SAVE_PRIVATE:
        a->memory |= CR_CHKPT_DUMP_PRIVATE;
        break;
    case SAVE_SHARED:
        a->memory |= CR_CHKPT_DUMP_SHARED;
        break;
    case SAVE_ALL:
        a->memory |= CR_CHKPT_DUMP_ALL;
        break;
    case TIME:
        return take_time(a, value);
    case ANY:
        a->any = true;
        break;
    case VERBOSE:
        a->verbose = true;
        break;
    case QUIET:
        tool_be_quiet();
        break;
    default:
        take_plain(a, id);
    }
    return TOOL_GO_ON;
}

/* ---- the work, in a process of its own ---- */

struct work {
    const struct arguments *arguments;
    struct context destination;
    struct behind_answer *answer;
    struct crs_error error; /* of the destination */
};

static void fail(struct behind_answer *answer, int error, const struct crs_error *err)
{
    answer->error = error;
    answer->in_words = err->text[0] != 0;
    snprintf(answer->words, sizeof(answer->words), "%s", err->text);
}

static void on_accepted(int error, void *arg)
{
    struct work *w = arg;

    if (error == 0)
        context_begin(&w->destination, &w->error);
}

/* Before a signal follows: what ends the processes ends them only when they can come back. */
static int on_safe(void *arg, struct crs_error *err)
{
    struct work *w = arg;
    int r = w->error.text[0] ? -w->error.errnum : context_publish(&w->destination, &w->error);

    return r < 0 ? crs_fail(err, CRS_STORAGE, -r, "%s", w->error.text) : 0;
}

static struct requests_checkpoint_options make_request(const struct work *w, pid_t self,
                                                       const volatile int *cancel)
{
    const struct arguments *a = w->arguments;
    struct requests_checkpoint_options o = REQUESTS_CHECKPOINT_OPTIONS_INIT;

    o.scope = a->scope;
    o.target = a->id;
    o.requester = o.tool = self;
    o.signal = a->signal;
    o.flags = a->memory | a->traced | a->tracing | (a->any ? REQUEST_ANY : 0);
    o.fd = w->destination.fd;
    if (a->wish.kind == CONTEXT_DIRECTORY) {
        o.output = w->destination.written;
        o.form = CRS_FORM_DIRECTORY;
    }
    o.destination = w->destination.path;
    o.timeout_s = a->timeout_s;
    o.cancel = cancel;
    o.safe = on_safe;
    return o;
}

static void work(struct behind_answer *answer, pid_t self, const volatile int *cancel, void *arg)
{
    struct work w = {.arguments = arg, .destination = CONTEXT_INIT, .answer = answer};
    struct requests_result result = {0};
    int r = context_open(&w.arguments->wish, &w.destination, &w.error);

    if (r < 0) {
        fail(answer, -r, &w.error);
        return;
    }
    struct requests_checkpoint_options o = make_request(&w, self, cancel);
    requests_checkpoint(&o, &result, on_accepted, &w);
    answer->error = result.error;
    snprintf(answer->log, sizeof(answer->log), "%s", result.log ? result.log : "");
    if (w.error.text[0])
        fail(answer, w.error.errnum, &w.error);
    answer->n_processes = result.n_processes;
    answer->size_bytes = result.size_bytes;
    answer->pause_us = result.pause_us;
    snprintf(answer->path, sizeof(answer->path), "%s",
             w.destination.path ? w.destination.path : "");
    requests_result_clear(&result);
    context_close(&w.destination);
}

/* ---- what came of it ---- */

static void say_failed(const struct arguments *a, const struct behind_answer *answer)
{
    switch (answer->error) {
    case CR_ETEMPFAIL:
        tool_say("Checkpoint cancelled by application: try again later");
        break;
    case CR_EPERMFAIL:
        tool_say("Checkpoint cancelled by application: unable to checkpoint");
        break;
    case CR_ENOSUPPORT:
        tool_say("Checkpoint failed: support missing from application");
        break;
    case ENOSYS:
        tool_say("Checkpoint failed: support missing from kernel");
        break;
    case ESRCH:
        tool_say("Checkpoint failed: no processes checkpointed");
        break;
    case ETIMEDOUT:
        tool_say("Checkpoint failed: not done within %u s; the processes go on", a->timeout_s);
        break;
    default:
        tool_say("Checkpoint failed: %s",
                 answer->in_words ? answer->words : messages_words(answer->error));
    }
    messages_show_log(answer->log, a->level, true);
}

static void say_done(const struct arguments *a, const struct behind_answer *answer)
{
    char size[UNIT_TEXT_SIZE], pause[UNIT_TEXT_SIZE];

    if (a->verbose)
        tool_say("cr_checkpoint: %u process%s in %s%s%s, stopped for %s", answer->n_processes,
                 answer->n_processes == 1 ? "" : "es", format_size(answer->size_bytes, size),
                 answer->path[0] ? ": " : "", answer->path, format_us(answer->pause_us, pause));
    messages_show_log(answer->log, a->level, false);
}

static int checkpoint(struct arguments *a)
{
    int sig = 0;
    const struct behind_answer *answer = behind_run(work, a, &sig);

    if (!answer) {
        tool_say("Checkpoint failed: %s", strerror(errno));
        return messages_exit_code(errno);
    }
    if (answer->error == 0) {
        say_done(a, answer);
        return 0;
    }
    if (sig && answer->error == ECANCELED) {
        tool_say("cr_checkpoint: cancelled; the processes go on");
        child_end_like(W_EXITCODE(0, sig));
    }
    say_failed(a, answer);
    return messages_exit_code(answer->error);
}

int main(int argc, char **argv)
{
    struct arguments a = {.scope = CR_SCOPE_TREE, .wish = {.fd = -1, .sync = true}};
    struct tool_operands operands;
    _cleanup_free_ char *path = NULL;
    uint64_t id;
    int r = tool_parse(&tool, argc, argv, &a, &operands);

    if (r != TOOL_GO_ON)
        return r;
    if (a.n_destinations > 1) {
        tool_say("cr_checkpoint: only one of --cwd, --file, --fd and --dir can be given");
        return EINVAL;
    }
    if (operands.n < 1)
        return tool_usage(&tool, "the ID is missing");
    if (operands.n > 1)
        return tool_usage(&tool, "'%s' is too much", operands.items[1]);
    if (!tool_parse_id(operands.items[0], INT_MAX, &id))
        return tool_usage(&tool, "'%s' is no ID", operands.items[0]);
    a.id = (pid_t)id;
    if (a.wish.kind == CONTEXT_FILE && !a.wish.path)
        a.wish.path = path = format_string("context.%d", (int)a.id);
    return checkpoint(&a);
}
