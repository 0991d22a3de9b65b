/* kinds.c - crs kinds: what can be saved */
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

static void add_text(struct output_table *t, const json_t *item, const char *key)
{
    const char *text = json_string_value(json_object_get(item, key));

    output_table_add(t, text ? text : "-");
}

static void print(const json_t *kinds)
{
    static const char *const titles[] = {"KIND", "SAVED", "WHAT IT IS", "NEEDS", "CONDITIONS"};
    struct output_table table;
    const json_t *item;
    size_t i;

    output_table_begin(&table, titles, 5);
    json_array_foreach(kinds, i, item)
    {
        add_text(&table, item, "name");
        add_text(&table, item, "saved");
        add_text(&table, item, "title");
        add_text(&table, item, "privilege");
        add_text(&table, item, "conditions");
    }
    output_table_end(&table);
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
        output_document(stdout, json_pack("{s:O}", "kinds", kinds), false);
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
    .examples = {{"crs kinds", "all kinds"},
                 {"crs kinds | grep -i timer", "what holds for timers"},
                 {"crs kinds --json", "for a program"}},
    .run = run,
};
