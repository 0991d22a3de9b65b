/* kinds.c - crs kinds: what can be saved */
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"

struct arguments {
    int json;
};

static const struct cli_option options[] = {
    CLI_JSON(arguments),
    CLI_HELP,
    CLI_END,
};

#define NAME_WIDTH  17
#define SAVED_WIDTH 16
#define INDENT      (NAME_WIDTH + SAVED_WIDTH + 2)

static const char *text_of(const json_t *item, const char *key)
{
    const char *text = json_string_value(json_object_get(item, key));

    return text ? text : "";
}

/* Words in the third column, as many lines as they need. */
static void print_words(const char *label, const char *text)
{
    if (!*text)
        return;
    printf("%*s%s ", INDENT, "", label);
    output_wrapped(INDENT + (int)strlen(label) + 1, INDENT + 2, text);
}

static void print(const json_t *kinds)
{
    const json_t *item;
    size_t i;

    printf("%-*s %-*s %s\n", NAME_WIDTH, "KIND", SAVED_WIDTH, "SAVED", "WHAT IT IS");
    json_array_foreach(kinds, i, item)
    {
        printf("%-*s %-*s %s\n", NAME_WIDTH, text_of(item, "name"), SAVED_WIDTH,
               text_of(item, "saved"), text_of(item, "title"));
        print_words("needs:", text_of(item, "privilege"));
        print_words("but:", text_of(item, "conditions"));
    }
}

static int run(int argc, char **argv)
{
    struct arguments a = {0};
    struct cli_operands operands;
    struct crs_error error = {0};
    _cleanup_free_ char *text = NULL;
    int r = cli_parse(&command_kinds, argc, argv, &a, &operands);

    if (r == CLI_GO_ON)
        r = cli_check_operands(&command_kinds, &operands, 0, 0, "");
    if (r != CLI_GO_ON)
        return r;
    if (crs_kinds(&text, &error) < 0)
        return output_error("kinds", a.json, &error);
    _cleanup_json_ json_t *kinds = output_parse(text, &error);
    if (!kinds)
        return output_error("kinds", a.json, &error);
    if (a.json)
        output_document(stdout, json_pack("{s:O}", "kinds", kinds));
    else
        print(kinds);
    return output_finish("kinds");
}

const struct cli_command command_kinds = {
    .name = "kinds",
    .summary = "List the kinds of kernel objects that can be saved",
    .synopsis = "[--json]",
    .operands = "",
    .options = options,
    .examples = {{"crs kinds", "all kinds, and on what conditions"},
                 {"crs kinds | grep refused", "what can't be saved"},
                 {"crs kinds --json", "for a program"}},
    .run = run,
};
