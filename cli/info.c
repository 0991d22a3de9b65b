/* info.c - crs info: Open PAL's components and parameters, as a program here would have them */
#include <string.h>

#include "base/io.h"
#include "cli/commands.h"
#include "cli/openpal_library.h"
#include "cli/output.h"

struct arguments {
    int components, params, json;
};

static const struct cli_option options[] = {
    {"components", 'c', CLI_FLAG, offsetof(struct arguments, components), .value = 1,
     .help = "list the components: selected, possible, or why not here"},
    {"params", 'p', CLI_FLAG, offsetof(struct arguments, params), .value = 1,
     .help = "list the parameters: value, where it comes from, meaning"},
    CLI_JSON(arguments),
    CLI_HELP,
    CLI_END,
};

#define NAME_WIDTH     10
#define PRIORITY_WIDTH 8
#define INDENT         (NAME_WIDTH + PRIORITY_WIDTH + 2)
#define HELP_INDENT    4

/* ---- for people ---- */

static char *state_words(const struct mca_base_component_info *c)
{
    const char *file = c->file ? c->file : "built in";

    if (c->why_not)
        return format_string("can't run here: %s (%s)", c->why_not, file);
    if (!c->considered)
        return format_string("left out by the parameter %s (%s)", c->framework, file);
    return format_string("%s (%s)", c->selected ? "selected" : "could run", file);
}

static int print_component(const struct mca_base_component_info *c, void *arg)
{
    _cleanup_free_ char *words = state_words(c), *clean = words ? output_clean(words) : NULL;
    _cleanup_free_ char *name = output_clean(c->name);
    char priority[16] = "-";

    if (c->available)
        snprintf(priority, sizeof(priority), "%d", c->priority);
    printf("%-*s %*s ", NAME_WIDTH, name ? name : "", PRIORITY_WIDTH, priority);
    output_wrapped(INDENT, INDENT, clean ? clean : "");
    return 0;
}

static void print_components(const struct openpal_library *l)
{
    printf("%-*s %*s %s\n", NAME_WIDTH, "COMPONENT", PRIORITY_WIDTH, "PRIORITY", "STATE");
    l->each_component(print_component, NULL);
}

static int print_param(const struct mca_base_param_info *p, void *arg)
{
    _cleanup_free_ char *value = output_clean(p->value && *p->value ? p->value : "(nothing)");
    _cleanup_free_ char *source = output_clean(p->source), *help = output_clean(p->help);

    printf("%s = %s  (%s, from %s%s)\n", p->name, value ? value : "", p->type, source ? source : "",
           p->deprecated ? ", deprecated" : "");
    if (help && *help) {
        printf("%*s", HELP_INDENT, "");
        output_wrapped(HELP_INDENT, HELP_INDENT, help);
    }
    return 0;
}

static int print_problem(const char *words, void *arg)
{
    _cleanup_free_ char *clean = output_clean(words);

    fprintf(stderr, "crs info: %s\n", clean ? clean : words);
    return 0;
}

static void print(const struct openpal_library *l, const struct arguments *a)
{
    if (a->components)
        print_components(l);
    if (a->components && a->params)
        printf("\n");
    if (a->params)
        l->each_param(print_param, NULL);
}

/* ---- for programs ---- */

static json_t *text_or_null(const char *text)
{
    return text ? output_text(text) : json_null();
}

static int add_component(const struct mca_base_component_info *c, void *list)
{
    return json_array_append_new(
        list, json_pack("{s:s, s:o, s:o, s:o, s:b, s:b, s:b, s:o, s:o}", "framework", c->framework,
                        "name", output_text(c->name), "version", text_or_null(c->version), "file",
                        text_or_null(c->file), "considered", c->considered, "available",
                        c->available, "selected", c->selected, "priority",
                        c->available ? json_integer(c->priority) : json_null(), "why_not",
                        text_or_null(c->why_not)));
}

static int add_param(const struct mca_base_param_info *p, void *list)
{
    return json_array_append_new(
        list,
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:b, s:b}", "name", p->name, "type", p->type,
                  "value", text_or_null(p->value), "default", text_or_null(p->default_value),
                  "source", output_text(p->source), "help", output_text(p->help), "read_only",
                  p->read_only, "deprecated", p->deprecated));
}

static int add_problem(const char *words, void *list)
{
    return json_array_append_new(list, output_text(words));
}

static void print_json(const struct openpal_library *l, const struct arguments *a)
{
    json_t *document = json_object(), *problems = json_array();

    if (a->components) {
        json_t *list = json_array();
        l->each_component(add_component, list);
        json_object_set_new(document, "components", list);
    }
    if (a->params) {
        json_t *list = json_array();
        l->each_param(add_param, list);
        json_object_set_new(document, "parameters", list);
    }
    l->each_problem(add_problem, problems);
    json_object_set_new(document, "problems", problems);
    output_document(stdout, document);
}

/* ---- the command ---- */

static int note(const char *words, void *found)
{
    *(bool *)found = true;
    return 0;
}

/* What is wrong is listed with the rest: it doesn't end the listing. */
static int list(const struct openpal_library *l, const struct arguments *a)
{
    bool wrong = false, opened = l->register_params() == OPAL_SUCCESS;
    int r;

    opened = l->crs_open() == OPAL_SUCCESS && opened;
    if (opened)
        (void)l->survey();
    if (a->json)
        print_json(l, a);
    else
        print(l, a);
    l->each_problem(note, &wrong);
    r = output_finish("info");
    if (!a->json)
        l->each_problem(print_problem, NULL);
    l->crs_close();
    return r != 0 ? r : wrong || !opened ? CRS_USAGE : 0;
}

static int run(int argc, char **argv)
{
    struct arguments a = {0};
    struct cli_operands operands;
    struct openpal_library l = {0};
    struct crs_error error = {0};
    int loaded = openpal_library_load(&l, &error), r;

    if (loaded == 0 && l.open(&argc, &argv) != OPAL_SUCCESS)
        loaded = crs_fail(&error, CRS_FAILED, ENOMEM, "the parameters can't be read");
    r = cli_parse(&command_info, argc, argv, &a, &operands);
    if (r == CLI_GO_ON)
        r = cli_check_operands(&command_info, &operands, 0, 0, "");
    if (r != CLI_GO_ON)
        return r;
    if (loaded < 0)
        return output_error("info", a.json, &error);
    if (!a.components && !a.params)
        a.components = a.params = 1;
    r = list(&l, &a);
    l.close();
    return r;
}

const struct cli_command command_info = {
    .name = "info",
    .summary = "List Open PAL's components and parameters",
    .synopsis = "[--components] [--params] [--json] [-mca NAME VALUE]...",
    .operands = "",
    .options = options,
    .examples = {{"crs info", "the component that programs here would use, and all else"},
                 {"crs info --components -mca crs criu", "could it be this one?"},
                 {"crs info --params --json", "for a program"}},
    .run = run,
};
