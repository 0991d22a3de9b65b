/* list.c - the snapshots of a store */
#include <string.h>

#include "base/descriptors.h"
#include "base/io.h"
#include "store/job.h"
#include "store/reader.h"

/* The commands of the processes, as the manifest tells them. */
static json_t *commands_of(const json_t *manifest)
{
    const json_t *processes = json_object_get(manifest, "processes"), *item;
    json_t *commands = json_array();
    size_t i;

    json_array_foreach(processes, i, item)
    {
        json_t *command = json_object_get(item, "command");
        if (json_is_string(command))
            json_array_append(commands, command);
    }
    return commands;
}

static void describe_complete(json_t *item, const struct store_reader *r)
{
    const json_t *time = json_object_get(r->manifest.json, "time");

    json_object_set_new(item, "complete", json_true());
    json_object_set_new(item, "time", json_is_string(time) ? json_deep_copy(time) : json_null());
    json_object_set_new(item, "size_bytes", json_integer(store_reader_size_bytes(r)));
    json_object_set_new(item, "shared_bytes", json_integer(store_reader_shared_bytes(r)));
    json_object_set_new(item, "memory_bytes", json_integer(r->manifest.memory_bytes));
    json_object_set_new(item, "commands", commands_of(r->manifest.json));
}

static int describe(const char *root, const char *name, unsigned seq, json_t *list,
                    struct crs_error *err)
{
    _cleanup_free_ char *path = format_string("%s/%s/%u", root, name, seq);
    _cleanup_(cleanup_store_reader) struct store_reader *reader = NULL;
    struct crs_error why = {0};

    if (!path)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = store_reader_open(path, &reader, &why);
    if (is_want_of_descriptors(-r)) {
        if (err)
            *err = why;
        return r;
    }
    json_t *item = json_pack("{s:s, s:i, s:s}", "name", name, "seq", (int)seq, "path", path);
    if (!item) /* no memory, or a path that isn't UTF-8 */
        item = json_pack("{s:s, s:i, s:n}", "name", name, "seq", (int)seq, "path");
    if (r == 0) {
        describe_complete(item, reader);
    } else if (item) {
        json_object_set_new(item, "complete", json_false());
        json_object_set_new(item, "reason", json_string(why.text));
    }
    if (json_array_append_new(list, item) < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    return 0;
}

static int list_job(const char *root, const char *name, json_t *list, struct crs_error *err)
{
    struct seqs seqs = {0};

    int r = job_seqs(root, name, &seqs, err);
    for (size_t i = 0; i < seqs.n && r == 0; i++)
        r = describe(root, name, seqs.items[i], list, err);
    free(seqs.items);
    return r;
}

static int list_all(const char *root, json_t *list, struct crs_error *err)
{
    struct job_names names = {0};

    int r = job_names(root, &names, err);
    for (size_t i = 0; i < names.n && r == 0; i++)
        r = list_job(root, names.items[i], list, err);
    job_names_clear(&names);
    return r;
}

int store_list(const char *store, const char *name, json_t **ret, struct crs_error *err)
{
    _cleanup_free_ char *root = NULL;
    json_auto_t *list = json_array();

    if (!list)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = name ? store_check_name(name, err) : 0;
    if (r == 0)
        r = store_root(store, &root, err);
    if (r == 0)
        r = name ? list_job(root, name, list, err) : list_all(root, list, err);
    if (r < 0)
        return r;
    *ret = json_incref(list);
    return 0;
}
