/* list.c - crs list: the snapshots of the store, and the jobs that run */
#include <string.h>
#include <time.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/store_arguments.h"
#include "service/job.h"

static const char *text_of(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : otherwise;
}

static const char *size_of(const json_t *object, const char *key, char text[UNIT_TEXT_SIZE])
{
    const json_t *size = json_object_get(object, key);

    return json_is_integer(size) ? format_size(json_integer_value(size), text) : "-";
}

/* What removing it would free. */
static const char *own_size_of(const json_t *object, char text[UNIT_TEXT_SIZE])
{
    const json_t *size = json_object_get(object, "size_bytes");
    const json_t *shared = json_object_get(object, "shared_bytes");

    return json_is_integer(size)
               ? format_size(json_integer_value(size) - json_integer_value(shared), text)
               : "-";
}

/* "2026-11-21T22:45:03.640Z" as the clock on the wall here; as it is where it's none. */
static void add_time(struct output_table *t, const json_t *item)
{
    const char *utc = text_of(item, "time", "-");
    struct tm tm = {0}, local;
    char text[32];

    if (strptime(utc, "%Y-%m-%dT%H:%M:%S", &tm)) {
        time_t seconds = timegm(&tm);
        if (localtime_r(&seconds, &local) &&
            strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local) > 0)
            utc = text;
    }
    output_table_add(t, utc);
}

/* What was saved, or why it can't be used. */
static void add_content(struct output_table *t, const json_t *item)
{
    const json_t *commands = json_object_get(item, "commands"), *command;
    char text[256] = "";
    size_t i;

    if (!json_is_true(json_object_get(item, "complete"))) {
        snprintf(text, sizeof(text), "incomplete: %.200s", text_of(item, "reason", "?"));
        output_table_add(t, text);
        return;
    }
    json_array_foreach(commands, i, command)
    {
        size_t n = strlen(text);
        if (json_is_string(command) && n < sizeof(text) - 1)
            snprintf(text + n, sizeof(text) - n, "%s%s", n ? ", " : "", json_string_value(command));
    }
    output_table_add(t, text);
}

static void print_snapshots(const json_t *snapshots)
{
    static const char *const titles[] = {"SNAPSHOT", "TIME", "-SIZE", "-OWN", "-MEMORY", "PROGRAM"};
    struct output_table table;
    const json_t *item;
    size_t i;

    output_table_begin(&table, titles, 6);
    json_array_foreach(snapshots, i, item)
    {
        char name[256], size[UNIT_TEXT_SIZE];
        snprintf(name, sizeof(name), "%s@%d", text_of(item, "name", "?"),
                 (int)json_integer_value(json_object_get(item, "seq")));
        output_table_add(&table, name);
        add_time(&table, item);
        output_table_add(&table, size_of(item, "size_bytes", size));
        output_table_add(&table, own_size_of(item, size));
        output_table_add(&table, size_of(item, "memory_bytes", size));
        add_content(&table, item);
    }
    output_table_end(&table);
}

/* ---- jobs ---- */

struct jobs {
    const char *name; /* NULL: all */
    json_t *list;
};

static int add_job(const struct job *job, void *arg)
{
    struct jobs *jobs = arg;

    if (jobs->name && strcmp(jobs->name, job->name) != 0)
        return 0;
    return json_array_append_new(jobs->list, json_pack("{s:s, s:i, s:b, s:o}", "name", job->name,
                                                       "pid", (int)job->program.pid, "supervised",
                                                       job->supervisor.pid != 0, "command",
                                                       output_text(job->command)));
}

static void print_jobs(const json_t *list)
{
    static const char *const titles[] = {"JOB", "-PID", "COMMAND"};
    struct output_table table;
    const json_t *item;
    size_t i;

    output_table_begin(&table, titles, 3);
    json_array_foreach(list, i, item)
    {
        char pid[16];
        snprintf(pid, sizeof(pid), "%d", (int)json_integer_value(json_object_get(item, "pid")));
        output_table_add(&table, text_of(item, "name", "?"));
        output_table_add(&table, pid);
        output_table_add(&table, text_of(item, "command", ""));
    }
    output_table_end(&table);
}

static int read_lists(const struct store_arguments *a, const char *name, json_t **ret_snapshots,
                      struct jobs *jobs, struct crs_error *err)
{
    _cleanup_free_ char *text = NULL;
    int r = crs_snapshot_list(a->store, name, &text, err);

    if (r < 0)
        return r;
    json_t *snapshots = output_parse(text, err);
    if (!snapshots)
        return -EPROTO;
    *ret_snapshots = snapshots;
    r = job_each(a->store, add_job, jobs, err);
    return r < 0 ? r : 0;
}

static void print(const struct store_arguments *a, const json_t *snapshots, const json_t *jobs)
{
    if (json_array_size(snapshots) > 0)
        print_snapshots(snapshots);
    if (json_array_size(snapshots) > 0 && json_array_size(jobs) > 0)
        putchar('\n');
    if (json_array_size(jobs) > 0)
        print_jobs(jobs);
    if (json_array_size(snapshots) == 0 && json_array_size(jobs) == 0) {
        _cleanup_free_ char *root = NULL;
        crs_store_path(a->store, &root, NULL);
        printf("No snapshots in %s\n", root ? root : "?");
    }
}

static int run(int argc, char **argv)
{
    struct store_arguments a = {0};
    struct crs_error error = {0};
    _cleanup_json_ json_t *snapshots = NULL;
    _cleanup_json_ json_t *list = json_array();
    int r = store_arguments_parse(&command_list, argc, argv, 0, 1, &a);

    if (r != CLI_GO_ON)
        return r;
    struct jobs jobs = {a.operands.items[0], list};
    if (read_lists(&a, a.operands.items[0], &snapshots, &jobs, &error) < 0)
        return output_error("list", a.json, &error);
    if (a.operands.n > 0 && json_array_size(snapshots) == 0 && json_array_size(list) == 0)
        return output_failure("list", a.json, CRS_NOT_FOUND,
                              "there is no snapshot of '%s', and no such job runs",
                              a.operands.items[0]);
    if (a.json)
        output_document(stdout, json_pack("{s:O, s:O}", "snapshots", snapshots, "jobs", list));
    else
        print(&a, snapshots, list);
    return output_finish("list");
}

const struct cli_command command_list = {
    .name = "list",
    .summary = "List the snapshots of the store, and the jobs that run",
    .synopsis = "[--dir DIR] [--json] [NAME]",
    .operands = "@job",
    .options = store_options,
    .examples = {{"crs list", "all snapshots and running jobs"},
                 {"crs list sim", "those of 'sim', the oldest first"},
                 {"crs list --json | jq '.snapshots[].path'", "for a program"}},
    .run = run,
};
