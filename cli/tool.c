/* tool.c - the command lines of BLCR's tools and Open PAL's, by tables */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "cli/tool.h"
#include "crs.h"

#define MAX_OPTIONS 64

static bool quiet;

void tool_be_quiet(void)
{
    quiet = true;
}

bool tool_is_quiet(void)
{
    return quiet;
}

void tool_say(const char *format, ...)
{
    char text[4096];
    va_list ap;

    if (quiet)
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    fprintf(stderr, "%s\n", text);
}

int tool_usage(const struct tool *tool, const char *format, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    tool_say("%s: %s\nUsage: %s %s\nSee: %s --help", tool->name, text, tool->name, tool->synopsis,
             tool->name);
    return tool->usage ? tool->usage : TOOL_USAGE;
}

bool tool_parse_id(const char *text, uint64_t max, uint64_t *ret)
{
    uint64_t n;

    if (parse_number(text, max, &n) < 0 || n == 0)
        return false;
    *ret = n;
    return true;
}

/* ---- help ---- */

static void print_option(const struct tool_option *o)
{
    char left[64];

    snprintf(left, sizeof(left), "%c%c%s--%s%s%s%s", o->letter ? '-' : ' ',
             o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
             o->value == TOOL_OPTIONAL_VALUE ? "[="
             : o->value == TOOL_VALUE        ? "="
                                             : "",
             o->metavar ? o->metavar : "", o->value == TOOL_OPTIONAL_VALUE ? "]" : "");
    printf("  %-30s %s\n", left, o->help);
}

static int print_help(const struct tool *tool)
{
    printf("Usage: %s %s\n%s.\n\nOptions:\n", tool->name, tool->synopsis, tool->summary);
    for (const struct tool_option *o = tool->options; o->name; o++)
        if (o->help)
            print_option(o);
    printf("\nManual: man %s\n", tool->manual ? tool->manual : tool->name);
    return 0;
}

/* As `crs --list-options`: for completion, and the checks of the manual pages. */
static int list_options(const struct tool *tool)
{
    printf("crs\t%s\t\t%s\t%s\n", tool->name, tool->operands, tool->summary);
    for (const struct tool_option *o = tool->options; o->name; o++) {
        const char *metavar = o->metavar ? o->metavar : "", *words = o->words ? o->words : "";
        if (!o->help)
            continue;
        printf("%s\t--%s\t%s%s\t%s\t%s\n", tool->name, o->name,
               o->value == TOOL_OPTIONAL_VALUE ? "=" : "", metavar, words, o->help);
        if (o->letter)
            printf("%s\t-%c\t%s\t%s\t%s\n", tool->name, o->letter, metavar, words, o->help);
    }
    return 0;
}

static int print_version(const struct tool *tool)
{
    printf("%s (OpenCRS) %s\n", tool->name, crs_version());
    return 0;
}

/* ---- parsing ---- */

struct getopt_tables {
    struct option longs[MAX_OPTIONS + 2];
    char shorts[3 * MAX_OPTIONS + 4];
};

#define LIST_OPTIONS (256 + MAX_OPTIONS)

static void make_tables(const struct tool *tool, struct getopt_tables *t)
{
    char *s = t->shorts;
    size_t n = 0;

    if (tool->options_end_at_operand)
        *s++ = '+';
    *s++ = ':';
    for (const struct tool_option *o = tool->options; o->name && n < MAX_OPTIONS; o++, n++) {
        static const int how[] = {no_argument, required_argument, optional_argument};
        t->longs[n] = (struct option){o->name, how[o->value], NULL, 256 + (int)n};
        if (!o->letter)
            continue;
        *s++ = o->letter;
        if (o->value == TOOL_VALUE)
            *s++ = ':';
    }
    t->longs[n] = (struct option){"list-options", no_argument, NULL, LIST_OPTIONS};
}

static const struct tool_option *find_option(const struct tool *tool, int c)
{
    if (c >= 256 && c < LIST_OPTIONS)
        return &tool->options[c - 256];
    for (const struct tool_option *o = tool->options; o->name; o++)
        if (o->letter && o->letter == c)
            return o;
    return NULL;
}

static int complain(const struct tool *tool, int c, const char *given)
{
    const struct tool_option *o = find_option(tool, optopt);

    if (c == ':')
        return tool_usage(tool, "--%s needs a value: %s", o ? o->name : "?", o ? o->metavar : "?");
    if (o && o->value == TOOL_NO_VALUE)
        return tool_usage(tool, "--%s takes no value", o->name);
    if (optopt && optopt < 256 && strncmp(given, "--", 2) != 0)
        return tool_usage(tool, "unknown option '-%c'", optopt);
    return tool_usage(tool, "unknown option '%s', or one that is cut short too much", given);
}

int tool_parse(const struct tool *tool, int argc, char **argv, void *arguments,
               struct tool_operands *ret)
{
    struct getopt_tables tables = {0};

    make_tables(tool, &tables);
    opterr = 0;
    optind = 0; /* glibc: start afresh */
    for (;;) {
        int at = optind ? optind : 1;
        optopt = 0;
        int c = getopt_long(argc, argv, tables.shorts, tables.longs, NULL);
        if (c == -1)
            break;
        if (c == '?' && optopt == '?') /* the letter; getopt(3) answers so to mistakes as well */
            return print_help(tool);
        if (c == '?' || c == ':')
            return complain(tool, c, argv[c == '?' ? optind - 1 : at]);
        if (c == LIST_OPTIONS)
            return list_options(tool);
        const struct tool_option *o = find_option(tool, c);
        if (o->id == TOOL_HELP)
            return print_help(tool);
        if (o->id == TOOL_VERSION)
            return print_version(tool);
        int r = tool->take(arguments, o->id, optarg);
        if (r != TOOL_GO_ON)
            return r;
    }
    *ret = (struct tool_operands){argv + optind, argc - optind};
    return TOOL_GO_ON;
}
