/* cr_restart.c - bring back what was saved into a context file */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/relocation.h"
#include "base/units.h"
#include "cli/blcr/hooks.h"
#include "cli/blcr/messages.h"
#include "cli/blcr/own_checkpoint.h"
#include "cli/blcr/signals.h"
#include "libcr.h"
#include "requests/restart.h"
#include "service/child.h"
#include "service/supervise.h"

struct arguments {
    const char *path, *directory;
    int fd, n_sources;
    int signal;
    bool verbose;
    unsigned flags; /* CR_RSTRT_* */
    const char *relocate[CR_MAX_RSTRT_RELOC];
    unsigned n_relocate;
    enum own_checkpoint omit;
    enum messages_level level;
    struct hooks hooks;
};

enum {
    VERBOSE = SIGNAL_END,
    QUIET,
    FILE_PATH,
    FD,
    DIRECTORY,
    FREEZE,
    OMIT_MAYBE,
    OMIT_ALWAYS,
    OMIT_NEVER,
    ON_SUCCESS,
    ON_ARGUMENTS,
    ON_TEMPORARY,
    ON_SURROUNDINGS,
    ON_PERMANENT,
    ON_FAILURE,
    RELOCATE,
    RESTORE_PID,
    NO_RESTORE_PID,
    RESTORE_PGID,
    NO_RESTORE_PGID,
    RESTORE_SID,
    NO_RESTORE_SID,
    KMSG_NONE,
    KMSG_ERROR,
    KMSG_WARNING,
};

static const struct tool_option options[] = {
    {"file", 'f', FILE_PATH, TOOL_VALUE, .metavar = "FILE", .words = "@file",
     .help = "restart from FILE, as without an option"},
    {"fd", 'F', FD, TOOL_VALUE, .metavar = "FD", .help = "from the open descriptor FD"},
    {"dir", 'd', DIRECTORY, TOOL_VALUE, .metavar = "DIR", .words = "@dir",
     .help = "from DIR, made by cr_checkpoint --dir"},
    SIGNAL_OPTIONS("restarted"),
    {"freeze", 0, FREEZE, .help = "the same as --early-stop"},
    {"omit-maybe", 0, OMIT_MAYBE,
     .help = "leave cr_restart out of a checkpoint of the job that starts at it (default)"},
    {"omit-always", 0, OMIT_ALWAYS, .help = "leave it out of all checkpoints"},
    {"omit-never", 0, OMIT_NEVER, .help = "save it with its job"},
    {"run-on-success", 0, ON_SUCCESS, TOOL_VALUE, .metavar = "CMD",
     .help = "run CMD when the job runs again"},
    {"run-on-fail-args", 0, ON_ARGUMENTS, TOOL_VALUE, .metavar = "CMD",
     .help = "run CMD after wrong options, or if FILE can't be opened"},
    {"run-on-fail-temp", 0, ON_TEMPORARY, TOOL_VALUE, .metavar = "CMD",
     .help = "run CMD after a failure that may pass: no memory, a PID in use"},
    {"run-on-fail-env", 0, ON_SURROUNDINGS, TOOL_VALUE, .metavar = "CMD",
     .help = "run CMD after a failure of files or permissions"},
    {"run-on-fail-perm", 0, ON_PERMANENT, TOOL_VALUE, .metavar = "CMD",
     .help = "run CMD after any other failure"},
    {"run-on-failure", 0, ON_FAILURE, TOOL_VALUE, .metavar = "CMD",
     .help = "run CMD after those failures that have no CMD of their own"},
    {"relocate", 0, RELOCATE, TOOL_VALUE, .metavar = "OLD=NEW", .words = "@dir",
     .help = "what was below OLD is below NEW; up to 16 times"},
    {"restore-pid", 0, RESTORE_PID, .help = "restore PIDs (default)"},
    {"no-restore-pid", 0, NO_RESTORE_PID, .help = "take new PIDs"},
    {"restore-pgid", 0, RESTORE_PGID, .help = "restore process groups"},
    {"no-restore-pgid", 0, NO_RESTORE_PGID, .help = "be in cr_restart's (default)"},
    {"restore-sid", 0, RESTORE_SID, .help = "restore sessions"},
    {"no-restore-sid", 0, NO_RESTORE_SID, .help = "be in cr_restart's (default)"},
    MESSAGES_OPTIONS(KMSG_NONE, KMSG_ERROR, KMSG_WARNING),
    {"verbose", 0, VERBOSE, .help = "say what was done"},
    {"quiet", 'q', QUIET, .help = "say nothing on standard error"},
    {"help", 'h', TOOL_HELP, .help = "show this help (as -?)"},
    {"version", 'v', TOOL_VERSION, .help = "show the version"},
    {0},
};

static int take(void *arguments, int id, const char *value);

static const struct tool tool = {
    .name = "cr_restart",
    .summary = "Bring back the processes of a context file, and stay with them",
    .synopsis = "[OPTION...] FILE",
    .operands = "@file",
    .options = options,
    .take = take,
};

/* ---- options ---- */

static int take_source(struct arguments *a, int id, const char *value)
{
    uint64_t fd = 0;

    a->n_sources++;
    if (id == FD && parse_number(value, INT_MAX, &fd) < 0)
        return tool_usage(&tool, "--fd: '%s' is no descriptor", value);
    if (id == FD)
        a->fd = (int)fd;
    else
        a->path = value;
    a->directory = id == DIRECTORY ? value : NULL;
    return TOOL_GO_ON;
}

static int take_relocation(struct arguments *a, const char *value)
{
    struct relocations checked = {0};
    struct crs_error error = {0};
    int r = relocations_add(&checked, value, &error);

    relocations_clear(&checked);
    if (r < 0)
        return tool_usage(&tool, "--relocate: %s", error.text);
    if (a->n_relocate == CR_MAX_RSTRT_RELOC)
        return tool_usage(&tool, "--relocate is given more than %d times", CR_MAX_RSTRT_RELOC);
    a->relocate[a->n_relocate++] = value;
    return TOOL_GO_ON;
}

/* Set or clear a bit. */
static bool take_flag(struct arguments *a, int id)
{
    static const struct {
        int on, off;
        unsigned bit;
    } rows[] = {
        {RESTORE_PID, NO_RESTORE_PID, CR_RSTRT_RESTORE_PID},
        {RESTORE_PGID, NO_RESTORE_PGID, CR_RSTRT_RESTORE_PGID},
        {RESTORE_SID, NO_RESTORE_SID, CR_RSTRT_RESTORE_SID},
    };

    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        if (id != rows[i].on && id != rows[i].off)
            continue;
        a->flags = id == rows[i].on ? a->flags | rows[i].bit : a->flags & ~rows[i].bit;
        return true;
    }
    return false;
}

static int take(void *arguments, int id, const char *value)
{
    struct arguments *a = arguments;
    int r = signals_take(&tool, id, value, &a->signal);

    if (r != 0)
        return r == TOOL_GO_ON ? r : TOOL_USAGE;
    if (take_flag(a, id))
        return TOOL_GO_ON;
    switch (id) {
    case FILE_PATH:
    case FD:
    case DIRECTORY:
        return take_source(a, id, value);
    case FREEZE:
        a->signal = -SIGSTOP;
        break;
    case OMIT_MAYBE:
    case OMIT_ALWAYS:
    case OMIT_NEVER:
        a->omit = (enum own_checkpoint)(id - OMIT_MAYBE);
        break;
    case ON_SUCCESS ... ON_FAILURE:
        a->hooks.commands[id - ON_SUCCESS] = value;
        break;
    case RELOCATE:
        return take_relocation(a, value);
    case KMSG_NONE:
        a->level = MESSAGES_NONE;
        break;
    case KMSG_ERROR:
        a->level = MESSAGES_ERROR;
        break;
    case KMSG_WARNING:
        a->level = MESSAGES_WARNING;
        break;
    case VERBOSE:
        a->verbose = true;
        break;
    case QUIET:
        tool_be_quiet();
        break;
    }
    return TOOL_GO_ON;
}

/* ---- failures ---- */

/* The hook's exit code counts, and says all, unless it is 0. */
static int end_failed(const struct arguments *a, enum hook hook, int exit_code, const char *words,
                      const char *log)
{
    int r = hooks_run(&a->hooks, hook);

    if (r != 0)
        return r;
    tool_say("Restart failed: %s", words);
    messages_show_log(log, a->level, true);
    return exit_code;
}

/* Behind a mistake nothing is read, but a hook for it is meant wherever it stands. */
static int end_usage(struct arguments *a, char **argv, int code)
{
    static const struct {
        const char *start;
        enum hook hook;
    } rows[] = {{"--run-on-fail-args=", HOOK_FAIL_ARGUMENTS}, {"--run-on-failure=", HOOK_FAILURE}};

    for (; *argv; argv++)
        for (size_t i = 0; i < ELEMENTS(rows); i++)
            if (strncmp(*argv, rows[i].start, strlen(rows[i].start)) == 0)
                a->hooks.commands[rows[i].hook] = *argv + strlen(rows[i].start);
    int r = hooks_run(&a->hooks, HOOK_FAIL_ARGUMENTS);
    return r != 0 ? r : code;
}

/* ---- the restart ---- */

/* Signals are blocked from before the job exists until those that come are passed on to it; until
 * it is built they end us, and it with us. */
static struct child_signals signals;

static bool is_ignored(int sig)
{
    struct sigaction action;

    return sigaction(sig, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void end_if_asked(const struct crs_progress *progress, void *arg)
{
    static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    sigset_t pending;

    sigpending(&pending);
    for (size_t i = 0; i < ELEMENTS(ending); i++)
        if (sigismember(&pending, ending[i]) && !sigismember(&signals.mask, ending[i]) &&
            !is_ignored(ending[i]))
            child_signals_give_back(&signals);
}

/* A descriptor for it, so that a hook for wrong arguments can be told from the others. */
static int open_source(const struct arguments *a, struct crs_error *err)
{
    int flags = O_RDONLY | O_CLOEXEC | (a->directory ? O_DIRECTORY : 0);

    if (a->path) {
        int fd = open(a->path, flags);
        return fd < 0 ? crs_fail_errno(err, CRS_NOT_FOUND, "can't open %s", a->path) : fd;
    }
    int mode = fcntl(a->fd, F_GETFL);
    if (mode < 0 || (mode & O_ACCMODE) == O_WRONLY || (mode & O_PATH))
        return crs_fail(err, CRS_USAGE, EBADF, "descriptor %d isn't open for reading", a->fd);
    return a->fd;
}

static void say_done(const struct arguments *a, const struct requests_restarted *r)
{
    static const char *const policies[] = {
        [CRS_PIDS_SAME] = "as saved",
        [CRS_PIDS_NAMESPACE] = "as saved, in a namespace of the job's own",
        [CRS_PIDS_NEW] = "new ones",
    };
    char took[UNIT_TEXT_SIZE];

    if (a->verbose)
        tool_say("cr_restart: %u process%s, the first is %d here, PIDs %s; in %s", r->n_processes,
                 r->n_processes == 1 ? "" : "es", (int)r->program.pid, policies[r->program.pids],
                 format_us(r->program.first_instruction_us, took));
    messages_show_log(r->log, a->level, false);
}

/* Until the job ends, and then as it ended. */
static int stay(const struct arguments *a, struct crs_restarted *program)
{
    struct supervise_options o = {.program = program, .listen_fd = -1};
    struct supervise_result result = {0};
    struct crs_error error = {0};

    own_checkpoint_allow(program->pid, a->omit);
    if (supervise(&o, &result, &error) < 0) {
        tool_say("cr_restart: %s", error.text);
        return TOOL_USAGE;
    }
    child_end_like(result.status);
}

static int restart(const struct arguments *a, int fd)
{
    struct requests_restart_options o = REQUESTS_RESTART_OPTIONS_INIT;
    struct requests_restarted restarted = {.program.status_fd = -1};
    struct crs_error error = {0};

    _cleanup_free_ char *name = a->path ? realpath(a->path, NULL) : NULL;
    o.name = name ? name : a->path;
    o.fd = fd;
    o.flags = a->flags;
    o.signal = a->signal;
    o.relocate = a->relocate;
    o.n_relocate = a->n_relocate;
    o.own_clocks = a->omit == OWN_CHECKPOINT_SAVED;
    o.progress = end_if_asked;
    /* Whoever stays with the program takes its orphans in, as init would. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    int r = child_signals_take(&signals, &error);
    if (r < 0)
        return end_failed(a, hooks_class(-r), messages_exit_code(-r), error.text, NULL);
    r = requests_restart(&o, &restarted, &error);
    if (fd != a->fd)
        close(fd); /* the job's are its own */
    if (r < 0)
        return end_failed(a, hooks_class(restarted.error), messages_exit_code(restarted.error),
                          messages_words(restarted.error), restarted.log);
    say_done(a, &restarted);
    free(restarted.log);
    r = hooks_run(&a->hooks, HOOK_SUCCESS);
    if (r != 0 || restarted.of_init)
        return r;
    return stay(a, &restarted.program);
}

int main(int argc, char **argv)
{
    struct arguments a = {.fd = -1, .flags = CR_RSTRT_RESTORE_PID};
    struct tool_operands operands;
    struct crs_error error = {0};
    int r = tool_parse(&tool, argc, argv, &a, &operands);

    if (r == TOOL_GO_ON && operands.n > 0)
        r = take_source(&a, FILE_PATH, operands.items[0]);
    if (r == TOOL_GO_ON && (a.n_sources > 1 || operands.n > 1))
        r = tool_usage(&tool, "only one context can be restarted at a time");
    if (r == TOOL_GO_ON && a.n_sources == 0)
        r = tool_usage(&tool, "FILE is missing");
    if (r == 0)
        return 0;
    if (r != TOOL_GO_ON)
        return end_usage(&a, argv, r);
    int fd = open_source(&a, &error);
    if (fd < 0)
        return end_failed(&a, HOOK_FAIL_ARGUMENTS, TOOL_USAGE, error.text, NULL);
    return restart(&a, fd);
}
