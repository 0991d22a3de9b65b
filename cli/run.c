/* run.c - crs run: start a command as a job */
#include <string.h>

#include "base/io.h"
#include "cli/commands.h"
#include "cli/foreground.h"
#include "cli/output.h"
#include "engine/isolation.h"
#include "service/child.h"

struct arguments {
    int json, namespaces;
    const char *name, *store;
};

static const struct cli_option options[] = {
    {"name", 'n', CLI_TEXT, offsetof(struct arguments, name), .metavar = "NAME",
     .help = "the job's name (default: the command's, and the PID)"},
    {"dir", 'd', CLI_TEXT, offsetof(struct arguments, store), .metavar = "DIR", .words = "@dir",
     .help = "keep the job's snapshots in the store DIR"},
    {"isolate", 0, CLI_SET, offsetof(struct arguments, namespaces), .value = ISOLATION_USUAL,
     .metavar = "LIST", .words = NAMESPACES,
     .help = "in namespaces of its own: pid, mount, ipc, net, time"},
    CLI_JSON(arguments),
    CLI_HELP,
    CLI_END,
};

/* The command line in one string, for people. */
static char *join_words(char **words)
{
    char *text = strdup(words[0]);

    for (words++; text && *words; words++) {
        char *longer = format_string("%s %s", text, *words);
        free(text);
        text = longer;
    }
    return text;
}

static char *usual_name(const char *command, pid_t pid)
{
    const char *slash = strrchr(command, '/');
    _cleanup_free_ char *base = job_name_from(slash ? slash + 1 : command);

    return base ? format_string("%.150s-%d", base, (int)pid) : NULL;
}

static void say_started(const struct foreground *f, const struct arguments *a, pid_t pid)
{
    if (f->json)
        output_event("started", json_pack("{s:s, s:i}", "name", f->name, "pid", (int)pid));
    else if (!a->name && isatty(2))
        fprintf(stderr, "crs run: this is job %s\n", f->name);
}

static int open_job(struct foreground *f, const struct arguments *a, struct child *child,
                    char **command, struct crs_error *err)
{
    _cleanup_free_ char *words = join_words(command);
    _cleanup_free_ char *name = a->name ? strdup(a->name) : usual_name(command[0], child->pid);

    if (!words || !name)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = child_close_inherited(child, err);
    return r < 0 ? r : foreground_open(f, a->store, name, child->pid, true, words, err);
}

static int run_job(const struct arguments *a, char **command)
{
    struct foreground f = {.command = "run", .json = a->json, .listen_fd = -1};
    struct crs_error error = {0};
    struct child child;
    int r = child_start(command, a->namespaces, &child, &error);

    if (r < 0 && error.kind == CRS_NOT_PERMITTED)
        return output_error("run", a->json, &error);
    if (r < 0)
        return foreground_exit_code(output_error("run", a->json, &error));
    r = open_job(&f, a, &child, command, &error);
    if (r < 0) {
        child_drop(&child);
        foreground_close(&f);
        return foreground_exit_code(output_error("run", a->json, &error));
    }
    r = child_go(&child, command[0], &error);
    if (r < 0) {
        foreground_close(&f);
        output_error("run", a->json, &error);
        return r == -ENOENT ? 127 : 126;
    }
    output_json_to_stderr();
    say_started(&f, a, child.pid);
    if (child_leave_stdio(&error) < 0)
        output_warning("run", a->json, "%s", error.text);
    return foreground_stay(&f, &child.to_wait);
}

static int run(int argc, char **argv)
{
    struct arguments a = {0};
    struct cli_operands operands;
    struct crs_error error = {0};
    int r = cli_parse(&command_run, argc, argv, &a, &operands);

    if (r == CLI_GO_ON)
        r = cli_check_operands(&command_run, &operands, 1, -1, "the command to run");
    if (r != CLI_GO_ON)
        return r;
    if (a.name && job_check_name(a.name, &error) < 0)
        return output_error("run", a.json, &error);
    return run_job(&a, operands.items);
}

const struct cli_command command_run = {
    .name = "run",
    .summary = "Run a command so that it can be checkpointed at any time",
    .synopsis = "[OPTION...] -- COMMAND [ARGUMENT...]",
    .operands = "@command",
    .options = options,
    .examples = {{"crs run --name sim -- ./simulate input.dat",
                  "run it as job 'sim'; elsewhere: crs checkpoint sim"},
                 {"crs run -- python3 train.py --epochs 90",
                  "run it under a name made of the command and its PID"},
                 {"crs run --isolate=net --name sim -- mpirun -np 4 ./simulate",
                  "with PIDs and a network of its own, which it finds again"}},
    .options_end_at_operand = true,
    .run = run,
};
