/*
 * store_arguments.h - the command line of what works in a store: list, show, verify, remove
 */
#ifndef CLI_STORE_ARGUMENTS_H
#define CLI_STORE_ARGUMENTS_H

#include "base/error.h"
#include "cli/options.h"

struct store_arguments {
    int json;
    const char *store, *key_file;
    struct cli_operands operands;
};

extern const struct cli_option store_options[];
extern const struct cli_option store_key_options[]; /* and where all of a snapshot is read */

/* CLI_GO_ON, or the exit code; min and max as of cli_check_operands(). */
int store_arguments_parse(const struct cli_command *command, int argc, char **argv, int min,
                          int max, struct store_arguments *ret);

/* The same for one snapshot, and where that is; *ret_path is allocated. "-" stays as it is. */
int store_arguments_snapshot(const struct cli_command *command, int argc, char **argv,
                             struct store_arguments *ret, char **ret_path);

/* Where the snapshot that `spec` names is. */
int store_arguments_resolve(const char *store, const char *spec, char **ret_path,
                            struct crs_error *err);

/* Open what that is; "-" is standard input. */
int store_arguments_open(const char *path, struct crs_snapshot **ret, struct crs_error *err);

/* What was given with --key-file, if anything was: exit code 2, in words, or CLI_GO_ON. */
int store_arguments_key(const char *command, const char *key_file, bool json);

/* What to call it in words. */
const char *store_arguments_words(const char *path);

#endif
