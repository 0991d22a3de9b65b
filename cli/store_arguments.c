/* store_arguments.c - the command line of what works in a store */
#include <string.h>

#include "cli/store_arguments.h"
#include "cli/output.h"

const struct cli_option store_options[] = {
    CLI_STORE(store_arguments),
    CLI_JSON(store_arguments),
    CLI_HELP,
    CLI_END,
};

const struct cli_option store_key_options[] = {
    CLI_KEY_FILE(store_arguments),
    CLI_STORE(store_arguments),
    CLI_JSON(store_arguments),
    CLI_HELP,
    CLI_END,
};

int store_arguments_key(const char *command, const char *key_file, bool json)
{
    struct crs_error error = {0};

    if (key_file && crs_use_key_file(key_file, &error) < 0)
        return output_error(command, json, &error);
    return CLI_GO_ON;
}

int store_arguments_parse(const struct cli_command *command, int argc, char **argv, int min,
                          int max, struct store_arguments *ret)
{
    int r = cli_parse(command, argc, argv, ret, &ret->operands);

    return r == CLI_GO_ON ? cli_check_operands(command, &ret->operands, min, max, "the snapshot")
                          : r;
}

int store_arguments_snapshot(const struct cli_command *command, int argc, char **argv,
                             struct store_arguments *ret, char **ret_path)
{
    struct crs_error error = {0};
    int r = store_arguments_parse(command, argc, argv, 1, 1, ret);

    if (r == CLI_GO_ON)
        r = store_arguments_key(command->name, ret->key_file, ret->json);
    if (r == CLI_GO_ON &&
        store_arguments_resolve(ret->store, ret->operands.items[0], ret_path, &error) < 0)
        return output_error(command->name, ret->json, &error);
    return r;
}

int store_arguments_resolve(const char *store, const char *spec, char **ret_path,
                            struct crs_error *err)
{
    if (strcmp(spec, "-") != 0)
        return crs_snapshot_resolve(store, spec, ret_path, err);
    *ret_path = strdup(spec);
    return *ret_path ? 0 : crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

const char *store_arguments_words(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

int store_arguments_open(const char *path, struct crs_snapshot **ret, struct crs_error *err)
{
    if (strcmp(path, "-") == 0)
        return crs_snapshot_open_fd(STDIN_FILENO, store_arguments_words(path), ret, err);
    return crs_snapshot_open(path, ret, err);
}
