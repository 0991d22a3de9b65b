/* crs.c - the command: its subcommands, and the names it may be called by */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "service/job.h"

#define HEAP_STEP (512 << 10)

static const struct cli_command *const commands[] = {
    &command_run,    &command_checkpoint, &command_restart, &command_list,  &command_show,
    &command_verify, &command_copy,       &command_remove,  &command_kinds, &command_info,
};

/* Other names of this binary: tools of other systems, with their own options and exit codes.
 * (crs-NAME is crs NAME without a row here.) Ends with a row without name. */
static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} tools[] = {{NULL, NULL}};

static const struct cli_command *find_command(const char *name)
{
    for (size_t i = 0; i < ELEMENTS(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* ---- about crs itself ---- */

static int print_help(FILE *file)
{
    fprintf(file, "Usage: crs COMMAND [OPTION...] [ARGUMENT...]\n"
                  "Checkpoint and restart of running programs, without root or changes to them."
                  "\n\nCommands:\n");
    for (size_t i = 0; i < ELEMENTS(commands); i++)
        fprintf(file, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(file, "\n"
                  "  crs run --name sim -- ./simulate    start it as a job\n"
                  "  crs checkpoint sim                  save it while it runs: sim@1\n"
                  "  crs restart sim                     bring it back from the newest snapshot\n"
                  "\n"
                  "Each command has --help with examples, and --json for programs. crs --version\n"
                  "says the version. A SNAPSHOT is a directory, NAME, NAME@SEQ or NAME@latest.\n"
                  "The store of snapshots is $CRS_STORE, else $XDG_STATE_HOME/crs, else\n"
                  "~/.local/state/crs.\n"
                  "Manuals: man crs (exit codes are there), man 7 crs for the concepts.\n");
    return 0;
}

static int print_version(void)
{
    printf("crs %s\n", crs_version());
    return 0;
}

/* For completion, and for the checks of the manual pages. */
static int list_options(void)
{
    printf("crs\t--help\t\t\tshow the commands\ncrs\t--version\t\t\tshow the version\n");
    for (size_t i = 0; i < ELEMENTS(commands); i++)
        cli_list_options(commands[i]);
    return 0;
}

static int print_job(const struct job *job, void *arg)
{
    printf("%s\n", job->name);
    return 0;
}

static int list_jobs(void)
{
    job_each(NULL, print_job, NULL, NULL);
    return 0;
}

static int list_snapshots(void)
{
    _cleanup_free_ char *text = NULL;
    const char *last = "";
    json_t *item;
    size_t i;

    if (crs_snapshot_list(NULL, NULL, &text, NULL) < 0)
        return CRS_FAILED;
    _cleanup_json_ json_t *list = output_parse(text, NULL);
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        if (!name)
            continue;
        if (strcmp(name, last) != 0)
            printf("%s\n", name);
        last = name;
        printf("%s@%d\n", name, (int)json_integer_value(json_object_get(item, "seq")));
    }
    return 0;
}

static int help(int argc, char **argv)
{
    char *ask[] = {argv[1], (char *)"--help", NULL};

    if (argc < 2)
        return print_help(stdout);
    const struct cli_command *command = find_command(argv[1]);
    if (command)
        return command->run(2, ask);
    fprintf(stderr, "crs help: there is no command '%s'\n", argv[1]);
    return CRS_USAGE;
}

static int unknown(const char *name)
{
    const char *names[ELEMENTS(commands)];

    for (size_t i = 0; i < ELEMENTS(commands); i++)
        names[i] = commands[i]->name;
    const char *nearest = *name == '-' ? NULL : cli_nearest(name, names, ELEMENTS(names));
    fprintf(stderr, "crs: there is no %s '%s'", *name == '-' ? "option" : "command", name);
    if (nearest)
        fprintf(stderr, "; did you mean '%s'?", nearest);
    fprintf(stderr, "\nSee: crs --help\n");
    return CRS_USAGE;
}

static int about(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } words[] = {
        {"--version", print_version},         {"-V", print_version},
        {"--list-options", list_options},     {"--list-jobs", list_jobs},
        {"--list-snapshots", list_snapshots},
    };

    if (strcmp(argv[0], "help") == 0)
        return help(argc, argv);
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
        return print_help(stdout);
    for (size_t i = 0; i < ELEMENTS(words); i++)
        if (strcmp(argv[0], words[i].name) == 0)
            return words[i].run();
    return unknown(argv[0]);
}

/* ---- dispatch ---- */

static int run_word(int argc, char **argv)
{
    const struct cli_command *command = find_command(argv[0]);

    if (command)
        return command->run(argc, argv);
    int r = about(argc, argv);
    return r ? r : output_finish("help");
}

/* What a checkpoint keeps of a program's threads are many small pieces, which one of its own
 * threads allocates: from the heap of the process, which grows in larger steps than one of a
 * thread. */
static void choose_allocation(void)
{
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TOP_PAD, HEAP_STEP);
#endif
}

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *called = argc > 0 ? (slash ? slash + 1 : argv[0]) : "crs";

    choose_allocation();
    for (size_t i = 0; tools[i].name; i++)
        if (strcmp(called, tools[i].name) == 0)
            return tools[i].run(argc, argv);
    if (strncmp(called, "crs-", 4) == 0 && find_command(called + 4))
        return find_command(called + 4)->run(argc, argv);
    if (argc < 2) {
        print_help(stderr);
        return CRS_USAGE;
    }
    return run_word(argc - 1, argv + 1);
}
