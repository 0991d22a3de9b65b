/*
 * options.h - the command line by tables
 *
 * Each subcommand is one table of options and one row in crs.c. Help, completion and the check of
 * the manual pages come from the same tables.
 *
 *     struct arguments { int json; const char *name; int timeout_ms; };
 *     static const struct cli_option options[] = {
 *         {"name", 'n', CLI_TEXT, offsetof(struct arguments, name), .metavar = "NAME", .help =
 * ...},
 *         ...
 *         {0}};
 *     int r = cli_parse(&command, argc, argv, &arguments, &operands);
 *     if (r != CLI_GO_ON)
 *         return r;
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum cli_type {
    CLI_FLAG = 1, /* int: becomes `value` */
    CLI_TEXT,     /* const char * */
    CLI_DURATION, /* int: milliseconds */
    CLI_RATE,     /* uint64_t: bytes a second, at least 1 */
    CLI_CHOICE,   /* int: 1 for the first of `words`, 2 for the second, ... */
    CLI_LIST,     /* struct cli_list; may be given several times */
    CLI_SET,      /* int: bit 0 for the first of `words`, ...; written --name=A,B or, for `value`,
                     --name */
};

#define CLI_LIST_MAX 64

struct cli_list {
    const char *items[CLI_LIST_MAX];
    size_t n;
};

struct cli_option {
    const char *name;
    char letter; /* 0: no short form */
    enum cli_type type;
    size_t offset; /* in the arguments */
    int value;
    const char *metavar;
    /* For completion (and CLI_CHOICE, CLI_SET): words between spaces, or @file, @dir, @job. */
    const char *words;
    const char *help;
};

/* In every table. */
#define CLI_JSON(type)                                                                             \
    {                                                                                              \
        "json", 0, CLI_FLAG, offsetof(struct type, json), .value = 1,                              \
                                                          .help = "say it in JSON (for programs)"  \
    }
#define CLI_HELP                                                                                   \
    {                                                                                              \
        "help", 'h', CLI_FLAG, CLI_NO_OFFSET, .help = "show this help"                             \
    }
#define CLI_END                                                                                    \
    {                                                                                              \
        0                                                                                          \
    }
#define CLI_STORE(type)                                                                            \
    {                                                                                              \
        "dir", 'd', CLI_TEXT, offsetof(struct type, store),                                        \
            .metavar = "DIR", .words = "@dir", .help = "use the store DIR, not the default one"    \
    }
#define CLI_KEY_FILE(type)                                                                         \
    {                                                                                              \
        "key-file", 0, CLI_TEXT, offsetof(struct type, key_file),                                  \
            .metavar = "FILE", .words = "@file",                                                   \
            .help = "the key of what is encrypted (default: $CRS_KEY_FILE)"                        \
    }
#define CLI_NO_OFFSET ((size_t)-1)

struct cli_command {
    const char *name;
    const char *summary;              /* one line */
    const char *synopsis;             /* after the name */
    const char *operands;             /* for completion: @target, @snapshot, @job, @command or "" */
    const struct cli_option *options; /* up to CLI_END */
    const char *examples[3][2];       /* the command, what it does */
    bool options_end_at_operand;      /* what follows belongs to another command */
    int (*run)(int argc, char **argv);
};

struct cli_operands {
    char **items; /* ends with NULL */
    int n;
};

#define CLI_GO_ON (-1)

/* CLI_GO_ON, or the exit code: help was shown (0), or a mistake was (2). */
int cli_parse(const struct cli_command *command, int argc, char **argv, void *arguments,
              struct cli_operands *ret);

/* Say "crs NAME: WORDS" and where help is; returns 2. */
int cli_usage(const struct cli_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A snapshot is to go to standard output: may it? It has to be a stream, and no terminal's. */
int cli_check_stdout(const struct cli_command *command, bool as_directory);

/* Complain unless there are between min and max operands (max -1: any number). */
int cli_check_operands(const struct cli_command *command, const struct cli_operands *operands,
                       int min, int max, const char *what);

/* The one of the n words that `word` was probably meant to be; NULL: none is near. */
const char *cli_nearest(const char *word, const char *const *words, size_t n);

/* Print a table for completion, with tabs between: COMMAND OPTION METAVAR WORDS HELP for each
 * option (METAVAR "=LIST": only behind an equals sign, several with commas between), before them
 * crs COMMAND (nothing) OPERANDS SUMMARY. */
void cli_list_options(const struct cli_command *command);

#endif
