/*
 * commands.h - the subcommands, one file each
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"

extern const struct cli_command command_run, command_checkpoint, command_restart, command_list,
    command_show, command_verify, command_copy, command_remove, command_kinds, command_info;

#endif
