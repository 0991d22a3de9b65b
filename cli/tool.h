/*
 * tool.h - the command lines of BLCR's tools and Open PAL's, by tables
 *
 * These tools keep the options and words of those that they replace. Each is one table of options
 * and a function that takes them in the order in which they stand. Help, completion and the check
 * of the manual pages come from the table.
 *
 *     struct arguments a = {...};
 *     struct tool_operands operands;
 *     int r = tool_parse(&tool, argc, argv, &a, &operands);
 *     if (r != TOOL_GO_ON)
 *         return r;
 */
#ifndef CLI_TOOL_H
#define CLI_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOOL_GO_ON (-1)
#define TOOL_USAGE 255 /* the exit code of mistakes on the command line, in BLCR's tools */

enum tool_value { TOOL_NO_VALUE = 0, TOOL_VALUE, TOOL_OPTIONAL_VALUE };

/* IDs of a tool's own options are above 0. */
enum { TOOL_HELP = -1, TOOL_VERSION = -2 };

struct tool_option {
    const char *name;
    char letter; /* 0: no short form */
    int id;
    enum tool_value value;
    const char *metavar;
    const char *words; /* for completion: words between spaces, or @file, @dir */
    const char *help;  /* NULL: not shown */
};

struct tool {
    const char *name, *summary, *synopsis;
    const char *operands;              /* for completion: @pid, @file, @command */
    const struct tool_option *options; /* up to a row without name */
    bool options_end_at_operand;       /* what follows belongs to another command */
    const char *manual;                /* the page; NULL: of the same name */
    int usage;                         /* exit code of a mistake; 0: TOOL_USAGE */
    /* Take an option: TOOL_GO_ON, or the exit code of a mistake that it has told. */
    int (*take)(void *arguments, int id, const char *value);
};

struct tool_operands {
    char **items; /* ends with NULL */
    int n;
};

/* TOOL_GO_ON, or the exit code: help or the version was shown (0), or a mistake was. */
int tool_parse(const struct tool *tool, int argc, char **argv, void *arguments,
               struct tool_operands *ret);

/* Say "NAME: WORDS" and where help is; returns the exit code of a mistake. */
int tool_usage(const struct tool *tool, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Say nothing from now on; for what comes after the command line was read as well. */
void tool_be_quiet(void);
bool tool_is_quiet(void);

/* A line on standard error, unless the tool is to be quiet. */
void tool_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A whole number without sign in decimal, from 1 to `max`. */
bool tool_parse_id(const char *text, uint64_t max, uint64_t *ret);

#endif
