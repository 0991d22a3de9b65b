/* remove.c - crs remove: remove snapshots */
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/store_arguments.h"

/* Elsewhere NAME means the newest; who removes by a name may mean all. One must be named. */
static int check_names_one(const struct store_arguments *a, const char *spec, struct crs_error *err)
{
    _cleanup_free_ char *text = NULL;

    if (strpbrk(spec, "@/"))
        return 0;
    if (crs_snapshot_list(a->store, spec, &text, NULL) < 0)
        return 0; /* a directory's name perhaps: resolving tells */
    _cleanup_json_ json_t *list = output_parse(text, err);
    if (!list)
        return -EPROTO;
    if (json_array_size(list) <= 1)
        return 0;
    return crs_fail(err, CRS_USAGE, EINVAL,
                    "%s has %zu snapshots: say which, as in %s@%d or %s@latest (see crs list %s)",
                    spec, json_array_size(list), spec,
                    (int)json_integer_value(json_object_get(json_array_get(list, 0), "seq")), spec,
                    spec);
}

static int remove_one(const struct store_arguments *a, const char *spec, json_t *removed,
                      struct crs_error *err)
{
    _cleanup_free_ char *path = NULL;
    int r = check_names_one(a, spec, err);

    if (r >= 0)
        r = crs_snapshot_resolve(a->store, spec, &path, err);
    if (r >= 0)
        r = crs_snapshot_remove(path, err);
    if (r < 0)
        return r;
    json_array_append_new(removed, output_text(path));
    if (!a->json)
        printf("removed %s\n", path);
    return 0;
}

static int run(int argc, char **argv)
{
    struct store_arguments a = {0};
    _cleanup_json_ json_t *removed = json_array();
    json_t *errors = json_array();
    int code = 0;
    int r = store_arguments_parse(&command_remove, argc, argv, 1, -1, &a);

    if (r != CLI_GO_ON) {
        json_decref(errors);
        return r;
    }
    for (int i = 0; i < a.operands.n; i++) {
        struct crs_error error = {0};
        if (remove_one(&a, a.operands.items[i], removed, &error) >= 0)
            continue;
        int this_code = output_error("remove", false, &error);
        code = code ? code : this_code;
        json_array_append_new(errors, json_pack("{s:o, s:i, s:o}", "snapshot",
                                                output_text(a.operands.items[i]), "exit_code",
                                                this_code, "text", output_text(error.text)));
    }
    if (a.json)
        output_document(stdout, json_pack("{s:O, s:O}", "removed", removed, "errors", errors));
    json_decref(errors);
    r = output_finish("remove");
    return code ? code : r;
}

const struct cli_command command_remove = {
    .name = "remove",
    .summary = "Remove snapshots",
    .synopsis = "[--dir DIR] [--json] SNAPSHOT...",
    .operands = "@snapshot",
    .options = store_options,
    .examples = {{"crs remove sim@1 sim@2", "remove two of them; no other needs them"},
                 {"crs remove sim@latest", "remove the newest of 'sim'"},
                 {"crs remove /backup/sim", "remove one by its directory"}},
    .run = run,
};
