/* store_arguments.c - the command line of what works in a store */
#include "cli/store_arguments.h"
#include "cli/output.h"

const struct cli_option store_options[] = {
    CLI_STORE(store_arguments),
    CLI_JSON(store_arguments),
    CLI_HELP,
    CLI_END,
};

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

    if (r == CLI_GO_ON &&
        crs_snapshot_resolve(ret->store, ret->operands.items[0], ret_path, &error) < 0)
        return output_error(command->name, ret->json, &error);
    return r;
}
