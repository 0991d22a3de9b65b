/* copy.c - crs copy: a snapshot in the other form, or somewhere else */
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/store_arguments.h"

struct arguments {
    int json, form;
    const char *store, *key_file;
};

static const struct cli_option options[] = {
    {"form", 0, CLI_CHOICE, offsetof(struct arguments, form), .metavar = "FORM",
     .words = "directory stream", .help = "what DEST becomes: directory (default) or stream"},
    CLI_KEY_FILE(arguments),
    CLI_STORE(arguments),
    CLI_JSON(arguments),
    CLI_HELP,
    CLI_END,
};

static bool to_stdout(const char *dest)
{
    return strcmp(dest, "-") == 0;
}

static int copy(const struct arguments *a, const char *path, const char *dest, uint64_t *ret_size,
                struct crs_error *err)
{
    const enum crs_form form = a->form ? (enum crs_form)(a->form - 1) : CRS_FORM_DIRECTORY;
    struct output_progress progress;
    struct crs_snapshot *snapshot = NULL;
    int r = store_arguments_open(path, &snapshot, err);

    if (r < 0)
        return r;
    output_progress_begin(&progress, "copy", a->json);
    if (to_stdout(dest))
        r = crs_snapshot_copy_fd(snapshot, STDOUT_FILENO, output_progress_show, &progress, ret_size,
                                 err);
    else
        r = crs_snapshot_copy(snapshot, dest, form, output_progress_show, &progress, ret_size, err);
    output_progress_end(&progress);
    crs_snapshot_free(snapshot);
    return r;
}

static void say(const struct arguments *a, const char *path, const char *dest, uint64_t size_bytes)
{
    FILE *file = to_stdout(dest) ? stderr : stdout;
    char size[UNIT_TEXT_SIZE];

    if (a->json)
        output_document(file, json_pack("{s:o, s:o, s:I}", "snapshot", output_text(path), "path",
                                        output_text(dest), "size_bytes", (json_int_t)size_bytes));
    else
        fprintf(file, "%s: %s, every length and checksum is right\n", dest,
                format_size(size_bytes, size));
}

static int check(const struct arguments *a, const char *dest)
{
    const bool as_directory = a->form && (enum crs_form)(a->form - 1) != CRS_FORM_STREAM;

    return to_stdout(dest) ? cli_check_stdout(&command_copy, as_directory) : CLI_GO_ON;
}

static int run(int argc, char **argv)
{
    struct arguments a = {0};
    struct cli_operands operands;
    struct crs_error error = {0};
    _cleanup_free_ char *path = NULL;
    uint64_t size_bytes = 0;
    int r = cli_parse(&command_copy, argc, argv, &a, &operands);

    if (r == CLI_GO_ON)
        r = cli_check_operands(&command_copy, &operands, 2, 2,
                               "the snapshot, or where to copy it,");
    if (r == CLI_GO_ON)
        r = store_arguments_key("copy", a.key_file, a.json);
    if (r != CLI_GO_ON)
        return r;
    const char *dest = operands.items[1];
    if (to_stdout(dest))
        output_json_to_stderr();
    r = check(&a, dest);
    if (r != CLI_GO_ON)
        return r;
    if (store_arguments_resolve(a.store, operands.items[0], &path, &error) < 0 ||
        copy(&a, path, dest, &size_bytes, &error) < 0)
        return output_error("copy", a.json, &error);
    say(&a, path, dest, size_bytes);
    return output_finish("copy");
}

const struct cli_command command_copy = {
    .name = "copy",
    .summary = "Copy a snapshot, verified, into a directory or a stream",
    .synopsis = "[OPTION...] SNAPSHOT DEST",
    .operands = "@snapshot",
    .options = options,
    .examples = {{"crs copy sim@3 /backup/sim", "into a directory outside of the store"},
                 {"crs copy --form stream sim sim.crs", "into one file"},
                 {"crs copy sim - | ssh host crs restart -",
                  "to another machine, and run it there"}},
    .run = run,
};
