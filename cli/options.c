/* options.c - the command line by tables */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/units.h"
#include "cli/options.h"
#include "cli/output.h"

#define MAX_OPTIONS 32

static size_t count_options(const struct cli_option *options)
{
    size_t n = 0;

    while (options[n].name)
        n++;
    return n;
}

/* ---- suggestions ---- */

/* Edits (insert, delete, replace, swap of neighbours) that make b of a; long words are cut. */
static size_t distance(const char *a, const char *b)
{
    enum { MAX = 32 };
    size_t rows[3][MAX + 1], na = strnlen(a, MAX), nb = strnlen(b, MAX);

    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                above2[j - 2] + 1 < best)
                best = above2[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[na % 3][nb];
}

const char *cli_nearest(const char *word, const char *const *words, size_t n)
{
    size_t best = 3; /* further away is another word */
    const char *nearest = NULL;

    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, words[i]);
        if (d < best && d < strlen(words[i])) {
            best = d;
            nearest = words[i];
        }
    }
    return nearest;
}

/* ---- complaints ---- */

static bool json_wanted; /* --json stands on the command line, perhaps behind the mistake */

int cli_usage(const struct cli_command *command, const char *format, ...)
{
    struct crs_error error = {.kind = CRS_USAGE};
    va_list ap;

    va_start(ap, format);
    vsnprintf(error.text, sizeof(error.text), format, ap);
    va_end(ap);
    output_error(command->name, json_wanted, &error);
    fprintf(stderr, "Usage: crs %s %s\nSee: crs %s --help\n", command->name, command->synopsis,
            command->name);
    return 2;
}

int cli_check_operands(const struct cli_command *command, const struct cli_operands *operands,
                       int min, int max, const char *what)
{
    if (operands->n < min)
        return cli_usage(command, "%s is missing", what);
    if (max >= 0 && operands->n > max)
        return cli_usage(command, "'%s' is too much", operands->items[max]);
    return CLI_GO_ON;
}

static int complain_unknown(const struct cli_command *command, const char *given)
{
    const char *names[MAX_OPTIONS];
    size_t n = count_options(command->options), length = strcspn(given, "=");
    char word[64];

    for (size_t i = 0; i < n; i++)
        names[i] = command->options[i].name;
    if (strncmp(given, "--", 2) != 0)
        return cli_usage(command, "unknown option '%s'", given);
    snprintf(word, sizeof(word), "%.*s", (int)length - 2, given + 2);
    const char *nearest = cli_nearest(word, names, n);
    if (nearest)
        return cli_usage(command, "unknown option '--%s'; did you mean '--%s'?", word, nearest);
    return cli_usage(command, "unknown option '--%s'", word);
}

/* ---- help ---- */

static void print_option(const struct cli_option *o)
{
    char left[64];

    const char *before = !o->metavar ? "" : o->type == CLI_SET ? "[=" : " ";

    snprintf(left, sizeof(left), "%c%c%s--%s%s%s%s", o->letter ? '-' : ' ',
             o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name, before,
             o->metavar ? o->metavar : "", o->type == CLI_SET ? "]" : "");
    printf("  %-26s %s\n", left, o->help);
}

static void print_help(const struct cli_command *command)
{
    printf("Usage: crs %s %s\n%s.\n\nOptions:\n", command->name, command->synopsis,
           command->summary);
    for (const struct cli_option *o = command->options; o->name; o++)
        print_option(o);
    printf("\nExamples:\n");
    for (size_t i = 0; i < ELEMENTS(command->examples); i++)
        printf("  %s\n      %s\n", command->examples[i][0], command->examples[i][1]);
    printf("\nManual: man crs-%s\n", command->name);
}

void cli_list_options(const struct cli_command *command)
{
    printf("crs\t%s\t\t%s\t%s\n", command->name, command->operands, command->summary);
    for (const struct cli_option *o = command->options; o->name; o++) {
        printf("%s\t--%s\t%s%s\t%s\t%s\n", command->name, o->name, o->type == CLI_SET ? "=" : "",
               o->metavar ? o->metavar : "", o->words ? o->words : "", o->help);
        if (o->letter)
            printf("%s\t-%c\t%s\t%s\t%s\n", command->name, o->letter, o->metavar ? o->metavar : "",
                   o->words ? o->words : "", o->help);
    }
}

/* ---- parsing ---- */

/* 1 for the first of the words between spaces; 0: none of them. */
static int find_word(const char *words, const char *word)
{
    size_t length = strlen(word);

    for (int n = 1; *words; n++) {
        size_t size = strcspn(words, " ");
        if (size == length && memcmp(words, word, size) == 0)
            return n;
        words += size + (words[size] == ' ');
    }
    return 0;
}

static int set_rate(const struct cli_command *command, const struct cli_option *o, void *place,
                    const char *text)
{
    uint64_t rate = 0;
    int r = parse_size(text, &rate);

    if (r == -ERANGE)
        return cli_usage(command, "--%s: '%s' is too much", o->name, text);
    if (r < 0 || rate == 0)
        return cli_usage(command,
                         "--%s: '%s' is no number of bytes a second: 500K, 100M, 1.5G, ...",
                         o->name, text);
    *(uint64_t *)place = rate;
    return CLI_GO_ON;
}

/* Words between commas, as bits. */
static int set_words(const struct cli_command *command, const struct cli_option *o, int *place,
                     const char *text)
{
    int bits = 0;

    for (size_t n; *text; text += n + (text[n] == ',')) {
        char word[32];
        n = strcspn(text, ",");
        snprintf(word, sizeof(word), "%.*s", (int)n, text);
        int found = n < sizeof(word) ? find_word(o->words, word) : 0;
        if (found == 0)
            return cli_usage(command, "--%s: '%.*s' is none of: %s", o->name, (int)n, text,
                             o->words);
        bits |= 1 << (found - 1);
    }
    if (!bits)
        return cli_usage(command, "--%s: %s is empty", o->name, o->metavar);
    *place = bits;
    return CLI_GO_ON;
}

static int add_item(const struct cli_command *command, const struct cli_option *o,
                    struct cli_list *list, const char *text)
{
    if (!*text)
        return cli_usage(command, "--%s: %s is empty", o->name, o->metavar);
    if (list->n == CLI_LIST_MAX)
        return cli_usage(command, "--%s is given more than %d times", o->name, CLI_LIST_MAX);
    list->items[list->n++] = text;
    return CLI_GO_ON;
}

static int set_option(const struct cli_command *command, const struct cli_option *o,
                      void *arguments, const char *text)
{
    void *place = (char *)arguments + o->offset;
    int r;

    switch (o->type) {
    case CLI_FLAG:
        *(int *)place = o->value;
        return CLI_GO_ON;
    case CLI_TEXT:
        if (!*text)
            return cli_usage(command, "--%s: %s is empty", o->name, o->metavar);
        *(const char **)place = text;
        return CLI_GO_ON;
    case CLI_LIST:
        return add_item(command, o, place, text);
    case CLI_DURATION:
        r = parse_duration(text, (int *)place);
        if (r == -ERANGE)
            return cli_usage(command, "--%s: '%s' is too long: at most 24 days", o->name, text);
        if (r < 0)
            return cli_usage(command,
                             "--%s: '%s' is no duration: a number and ms, s, m or h, as in 500ms "
                             "or 10s",
                             o->name, text);
        return CLI_GO_ON;
    case CLI_RATE:
        return set_rate(command, o, place, text);
    case CLI_CHOICE:
        r = find_word(o->words, text);
        if (r == 0)
            return cli_usage(command, "--%s: '%s' is none of: %s", o->name, text, o->words);
        *(int *)place = r;
        return CLI_GO_ON;
    case CLI_SET:
        if (text)
            return set_words(command, o, place, text);
        *(int *)place = o->value;
        return CLI_GO_ON;
    }
    return cli_usage(command, "--%s is not understood", o->name);
}

struct getopt_tables {
    struct option longs[MAX_OPTIONS + 1];
    char shorts[2 * MAX_OPTIONS + 3];
};

static void make_tables(const struct cli_command *command, struct getopt_tables *t)
{
    char *s = t->shorts;

    *s++ = command->options_end_at_operand ? '+' : '-';
    if (!command->options_end_at_operand)
        s--;
    *s++ = ':';
    for (size_t i = 0; i < count_options(command->options) && i < MAX_OPTIONS; i++) {
        const struct cli_option *o = &command->options[i];
        bool takes = o->type != CLI_FLAG;
        int how = o->type == CLI_SET ? optional_argument : takes ? required_argument : no_argument;
        t->longs[i] = (struct option){o->name, how, NULL, 256 + (int)i};
        if (o->letter) {
            *s++ = o->letter;
            if (takes)
                *s++ = ':';
        }
    }
    *s = 0;
}

static const struct cli_option *find_option(const struct cli_command *command, int c)
{
    if (c >= 256)
        return &command->options[c - 256];
    for (const struct cli_option *o = command->options; o->name; o++)
        if (o->letter && o->letter == c)
            return o;
    return NULL;
}

static int complain(const struct cli_command *command, int c, char **argv, int at)
{
    const struct cli_option *o = find_option(command, optopt);

    if (c == ':')
        return cli_usage(command, "--%s needs a value: %s", o ? o->name : "?",
                         o ? o->metavar : "?");
    if (o && o->type == CLI_FLAG)
        return cli_usage(command, "--%s takes no value", o->name);
    if (optopt && optopt < 256 && strncmp(argv[at], "--", 2) != 0) {
        const char letter[] = {'-', (char)optopt, 0};
        return complain_unknown(command, letter);
    }
    return complain_unknown(command, argv[at]);
}

int cli_parse(const struct cli_command *command, int argc, char **argv, void *arguments,
              struct cli_operands *ret)
{
    struct getopt_tables tables = {0};

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        json_wanted |= strcmp(argv[i], "--json") == 0;
    make_tables(command, &tables);
    opterr = 0;
    optind = 0; /* glibc: start afresh */
    for (;;) {
        int at = optind ? optind : 1;
        optopt = 0;
        int c = getopt_long(argc, argv, tables.shorts, tables.longs, NULL);
        if (c == -1)
            break;
        if (c == '?' || c == ':')
            return complain(command, c, argv, c == '?' ? optind - 1 : at);
        const struct cli_option *o = find_option(command, c);
        if (o->offset == CLI_NO_OFFSET) {
            print_help(command);
            return 0;
        }
        int r = set_option(command, o, arguments, optarg);
        if (r != CLI_GO_ON)
            return r;
    }
    *ret = (struct cli_operands){argv + optind, argc - optind};
    return CLI_GO_ON;
}

int cli_check_stdout(const struct cli_command *command, bool as_directory)
{
    if (as_directory)
        return cli_usage(command, "what goes to standard output is a stream");
    if (isatty(STDOUT_FILENO))
        return cli_usage(command, "standard output is a terminal: lead it into a file or a pipe");
    return CLI_GO_ON;
}
