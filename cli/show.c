/* show.c - crs show: what a snapshot holds, and what a machine needs for it */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/array.h"
#include "base/io.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/process_tree.h"
#include "cli/store_arguments.h"

/*
 * The description is a document of the library, which other members may be added to: everything in
 * it is shown, by its shape. Names that end in a unit are shown with it.
 */

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), size = strlen(end);

    return n > size && strcmp(text + n - size, end) == 0;
}

/* "pause_us" -> "pause", "memory_bytes" -> "memory", "boot_id" -> "boot id". */
static void title_of(const char *key, char *text, size_t size)
{
    snprintf(text, size, "%s", key);
    if (ends_in(text, "_bytes"))
        text[strlen(text) - 6] = 0;
    else if (ends_in(text, "_us"))
        text[strlen(text) - 3] = 0;
    for (char *c = text; *c; c++)
        if (*c == '_')
            *c = ' ';
}

static char *value_text(const char *key, const json_t *value);

/* Values one after the other; of objects, "KEY VALUE" each. */
static char *joined_text(const char *key, const json_t *value)
{
    char *text = strdup("");
    const char *name;
    json_t *item;
    size_t i;

    if (json_is_array(value)) {
        json_array_foreach(value, i, item)
        {
            _cleanup_free_ char *before = text, *one = value_text(key, item);
            text = format_string("%s%s%s", before, *before ? " " : "", one ? one : "");
        }
        return text;
    }
    json_object_foreach((json_t *)value, name, item)
    {
        _cleanup_free_ char *before = text, *one = value_text(name, item);
        char title[64];
        title_of(name, title, sizeof(title));
        text = format_string("%s%s%s %s", before, *before ? ", " : "", title, one ? one : "");
    }
    return text;
}

static char *value_text(const char *key, const json_t *value)
{
    char text[UNIT_TEXT_SIZE];

    switch (json_typeof(value)) {
    case JSON_STRING:
        return strdup(json_string_value(value));
    case JSON_TRUE:
        return strdup("yes");
    case JSON_FALSE:
        return strdup("no");
    case JSON_NULL:
        return strdup("-");
    case JSON_REAL:
        return format_string("%g", json_real_value(value));
    case JSON_INTEGER:
        if (ends_in(key, "_bytes"))
            return strdup(format_size(json_integer_value(value), text));
        if (ends_in(key, "_us"))
            return strdup(format_us(json_integer_value(value), text));
        return format_string("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_ARRAY:
    case JSON_OBJECT:
        return joined_text(key, value);
    }
    return NULL;
}

/* ---- lists of objects are tables ---- */

#define MAX_COLUMNS 12
#define CELL_WIDTH  72

struct columns {
    size_t n;
    const char *keys[MAX_COLUMNS];
    char titles[MAX_COLUMNS][64];
    const char *pointers[MAX_COLUMNS];
};

static void add_column(struct columns *c, const char *key, const json_t *value)
{
    char title[60];

    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->keys[i], key) == 0)
            return;
    if (c->n == MAX_COLUMNS)
        return;
    title_of(key, title, sizeof(title));
    for (char *p = title; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    snprintf(c->titles[c->n], sizeof(c->titles[0]), "%s%s", json_is_integer(value) ? "-" : "",
             title);
    c->keys[c->n] = key;
    c->pointers[c->n] = c->titles[c->n];
    c->n++;
}

/* One long cell would push the columns behind it out of sight; --json has all of it. */
static void cut(char *text)
{
    size_t n = strlen(text);

    if (n <= CELL_WIDTH)
        return;
    for (n = CELL_WIDTH - 3; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
        ;
    memcpy(text + n, "...", 4);
}

static void print_objects(const char *key, const json_t *list)
{
    struct columns columns = {0};
    struct output_table table;
    const char *name;
    json_t *item, *value;
    size_t i;

    json_array_foreach(list, i, item) json_object_foreach(item, name, value)
        add_column(&columns, name, value);
    char title[64];
    title_of(key, title, sizeof(title));
    printf("\n%s:\n", title);
    output_table_begin(&table, columns.pointers, columns.n);
    json_array_foreach(list, i, item)
    {
        for (size_t c = 0; c < columns.n; c++) {
            value = json_object_get(item, columns.keys[c]);
            _cleanup_free_ char *text = value ? value_text(columns.keys[c], value) : NULL;
            if (text && c + 1 < columns.n)
                cut(text);
            output_table_add(&table, text ? text : "-");
        }
    }
    output_table_end(&table);
}

static bool is_object_list(const json_t *value)
{
    return json_is_array(value) && json_is_object(json_array_get(value, 0));
}

/* ---- the rest: one line each, what people look for first comes first ---- */

static const char *const first_keys[] = {
    "name",       "time",         "tool",         "component", "host", "kernel",
    "size_bytes", "shared_bytes", "memory_bytes", "pause_us",  "arch", "cpu",
};

#define TITLE_WIDTH 22

static void print_value(const char *key, const json_t *value)
{
    char title[64];

    if (!value || is_object_list(value) || strcmp(key, "schema") == 0 || strcmp(key, "path") == 0)
        return;
    _cleanup_free_ char *text = value_text(key, value);
    _cleanup_free_ char *clean = text ? output_clean(text) : NULL;
    title_of(key, title, sizeof(title));
    printf("%-*s ", TITLE_WIDTH, title);
    output_wrapped(TITLE_WIDTH + 1, TITLE_WIDTH + 1, clean ? clean : "");
}

static bool is_first_key(const char *key)
{
    for (size_t i = 0; i < ELEMENTS(first_keys); i++)
        if (strcmp(first_keys[i], key) == 0)
            return true;
    return false;
}

static void print_list(const char *key, const json_t *list)
{
    _cleanup_json_ json_t *tree = strcmp(key, "processes") == 0 ? process_tree(list) : NULL;

    print_objects(key, tree ? tree : list);
}

static void print(const char *path, const json_t *description)
{
    const char *key;
    json_t *value;

    printf("%-*s %s\n", TITLE_WIDTH, "path", path);
    for (size_t i = 0; i < ELEMENTS(first_keys); i++)
        print_value(first_keys[i], json_object_get(description, first_keys[i]));
    json_object_foreach((json_t *)description, key, value)
    {
        if (!is_first_key(key))
            print_value(key, value);
    }
    json_object_foreach((json_t *)description, key, value)
    {
        if (is_object_list(value))
            print_list(key, value);
    }
}

static int describe(const char *path, json_t **ret, struct crs_error *err)
{
    struct crs_snapshot *snapshot = NULL;
    _cleanup_free_ char *text = NULL;
    int r = store_arguments_open(path, &snapshot, err);

    if (r < 0)
        return r;
    r = crs_snapshot_describe(snapshot, &text, err);
    crs_snapshot_free(snapshot);
    if (r < 0)
        return r;
    *ret = output_parse(text, err);
    return *ret ? 0 : -EPROTO;
}

static int run(int argc, char **argv)
{
    struct store_arguments a = {0};
    struct crs_error error = {0};
    _cleanup_free_ char *path = NULL;
    _cleanup_json_ json_t *description = NULL;
    int r = store_arguments_snapshot(&command_show, argc, argv, &a, &path);

    if (r != CLI_GO_ON)
        return r;
    if (describe(path, &description, &error) < 0)
        return output_error("show", a.json, &error);
    if (a.json) {
        json_object_set_new(description, "path", output_text(path));
        output_document(stdout, json_incref(description));
    } else {
        print(path, description);
    }
    return output_finish("show");
}

const struct cli_command command_show = {
    .name = "show",
    .summary = "Show what a snapshot holds, and what a machine needs for it",
    .synopsis = "[--key-file FILE] [--dir DIR] [--json] SNAPSHOT",
    .operands = "@snapshot",
    .options = store_key_options,
    .examples = {{"crs show sim", "processes, memory and descriptors of the newest one of 'sim'"},
                 {"crs show sim@3", "of snapshot 3"},
                 {"crs show --json /backup/sim | jq .cpu", "what processor it needs"}},
    .run = run,
};
