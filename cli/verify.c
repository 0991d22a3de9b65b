/* verify.c - crs verify: read all of a snapshot and check it */
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/store_arguments.h"

static int verify(const struct store_arguments *a, const char *path, struct crs_error *err)
{
    struct output_progress progress;
    struct crs_snapshot *snapshot = NULL;
    int r = store_arguments_open(path, &snapshot, err);

    if (r < 0)
        return r;
    output_progress_begin(&progress, "verify", a->json);
    r = crs_snapshot_verify(snapshot, output_progress_show, &progress, err);
    output_progress_end(&progress);
    crs_snapshot_free(snapshot);
    return r;
}

static int run(int argc, char **argv)
{
    struct store_arguments a = {0};
    struct crs_error error = {0};
    _cleanup_free_ char *path = NULL;
    int r = store_arguments_snapshot(&command_verify, argc, argv, &a, &path);

    if (r != CLI_GO_ON)
        return r;
    if (verify(&a, path, &error) < 0)
        return output_error("verify", a.json, &error);
    if (a.json)
        output_document(stdout, json_pack("{s:o, s:b}", "snapshot", output_text(path), "ok", 1));
    else
        printf("%s: complete, every length and checksum is right\n", store_arguments_words(path));
    return output_finish("verify");
}

const struct cli_command command_verify = {
    .name = "verify",
    .summary = "Check every length and every checksum of a snapshot",
    .synopsis = "[--key-file FILE] [--dir DIR] [--json] SNAPSHOT",
    .operands = "@snapshot",
    .options = store_key_options,
    .examples = {{"crs verify sim", "check the newest snapshot of 'sim'"},
                 {"crs verify sim@3 && crs restart sim@3", "restart only what is whole"},
                 {"crs verify /backup/sim", "check a copy; exit code 6 when it is damaged"}},
    .run = run,
};
