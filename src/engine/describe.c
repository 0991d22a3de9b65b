/* describe.c - what a snapshot holds, and which kinds there are, as JSON */
#include <string.h>
#include <sys/wait.h>

#include "base/io.h"
#include "engine/describe.h"
#include "engine/sharing.h"
#include "kobj/kobj.h"
#include "store/snapshot.h"

#define WORDS_SIZE 512

json_t *describe_text(const char *text)
{
    json_t *json = json_string(text);

    if (json)
        return json;
    /* names are bytes, JSON is UTF-8 */
    _cleanup_free_ char *copy = strdup(text);
    for (char *p = copy; p && *p; p++)
        *p = *p & 0x80 ? '?' : *p;
    return copy ? json_string(copy) : NULL;
}

/* Words may be missing, and a kind that this version doesn't have any more has none. */
static json_t *words_or_null(int r, const char *words)
{
    return r >= 0 && words[0] ? describe_text(words) : json_null();
}

static int describe_process_attribute(const Crs__Attribute *a, char *words, size_t size)
{
    struct bytes payload = {a->payload.data, a->payload.len};

    for (const struct kobj_process_kind *const *k = kobj_process_kinds; *k; k++)
        if (strcmp((*k)->name, a->kind) == 0 && (*k)->describe)
            return (*k)->describe(&payload, words, size);
    return 0;
}

static int describe_thread_attribute(const Crs__Attribute *a, char *words, size_t size)
{
    struct bytes payload = {a->payload.data, a->payload.len};

    for (const struct kobj_thread_kind *const *k = kobj_thread_kinds; *k; k++)
        if (strcmp((*k)->name, a->kind) == 0 && (*k)->describe)
            return (*k)->describe(&payload, words, size);
    return 0;
}

/* {"KIND": "words" or null, ...} */
static json_t *describe_attributes(Crs__Attribute *const *attributes, size_t n,
                                   int (*describe)(const Crs__Attribute *, char *, size_t))
{
    json_t *object = json_object();

    for (size_t i = 0; i < n; i++) {
        char words[WORDS_SIZE] = "";
        int r = describe(attributes[i], words, sizeof(words));
        json_object_set_new(object, attributes[i]->kind, words_or_null(r, words));
    }
    return object;
}

/* What a wait of its parent would tell; null: nothing, it runs. */
static json_t *describe_state(const Crs__Process *p)
{
    char words[64];

    if (!p->zombie)
        return p->stopped ? json_string("stopped") : json_null();
    if (WIFEXITED(p->exit_status))
        snprintf(words, sizeof(words), "ended with %d", WEXITSTATUS(p->exit_status));
    else
        snprintf(words, sizeof(words), "ended by signal %d", WTERMSIG(p->exit_status));
    return json_string(words);
}

/* The first processes that have what it shares. */
static json_t *describe_sharing(const Crs__Tree *tree, const size_t *firsts, size_t i)
{
    static const char *const names[KOBJ_N_SHARED] = {
        [KOBJ_MEMORY] = "memory",
        [KOBJ_DESCRIPTORS] = "descriptors",
        [KOBJ_DIRECTORY] = "directory",
        [KOBJ_ACTIONS] = "actions",
    };
    json_t *object = json_object();

    for (unsigned what = 0; firsts && what < KOBJ_N_SHARED; what++) {
        size_t first = firsts[i * KOBJ_N_SHARED + what];
        if (first != i)
            json_object_set_new(object, names[what], json_integer(tree->processes[first]->pid));
    }
    return object;
}

static json_t *describe_processes(const Crs__Tree *tree)
{
    _cleanup_free_ size_t *firsts = sharing_firsts(tree);
    json_t *list = json_array();

    for (size_t i = 0; i < tree->n_processes; i++) {
        const Crs__Process *p = tree->processes[i];
        json_t *arguments = json_array();
        for (size_t j = 0; j < p->n_arguments; j++)
            json_array_append_new(arguments, describe_text(p->arguments[j]));
        json_array_append_new(
            list,
            json_pack(
                "{s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:I, s:o, s:o, s:o}", "pid",
                (json_int_t)p->pid, "parent", (json_int_t)p->parent, "group", (json_int_t)p->group,
                "session", (json_int_t)p->session, "command", describe_text(p->command),
                "arguments", arguments, "threads", (json_int_t)p->n_threads, "descriptors",
                (json_int_t)p->n_descriptors, "state", describe_state(p), "shares",
                describe_sharing(tree, firsts, i), "properties",
                describe_attributes(p->attributes, p->n_attributes, describe_process_attribute)));
    }
    return list;
}

static json_t *describe_threads(const Crs__Tree *tree)
{
    json_t *list = json_array();

    for (size_t i = 0; i < tree->n_processes; i++) {
        const Crs__Process *p = tree->processes[i];
        for (size_t j = 0; j < p->n_threads; j++) {
            const Crs__Thread *t = p->threads[j];
            json_array_append_new(
                list, json_pack("{s:I, s:I, s:o, s:o}", "pid", (json_int_t)p->pid, "tid",
                                (json_int_t)t->tid, "arch", describe_text(t->arch), "properties",
                                describe_attributes(t->attributes, t->n_attributes,
                                                    describe_thread_attribute)));
        }
    }
    return list;
}

static json_t *describe_descriptor(const Crs__Process *p, const Crs__Descriptor *d,
                                   const Crs__OpenFile *file)
{
    const struct kobj_file_kind *kind = file ? kobj_find_file_kind(file->kind) : NULL;
    char words[WORDS_SIZE] = "";
    int r = kind && kind->describe ? kind->describe(file, words, sizeof(words)) : 0;

    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:I, s:b}", "pid", (json_int_t)p->pid, "fd",
                     (json_int_t)d->fd, "kind", file ? describe_text(file->kind) : json_null(),
                     "name", file ? describe_text(file->name) : json_null(), "details",
                     words_or_null(r, words), "file", (json_int_t)d->file, "close_on_exec",
                     d->close_on_exec);
}

static int compare_files(const void *a, const void *b)
{
    const Crs__OpenFile *x = *(Crs__OpenFile *const *)a, *y = *(Crs__OpenFile *const *)b;

    return x->id < y->id ? -1 : x->id > y->id;
}

static json_t *describe_descriptors(const Crs__Tree *tree, Crs__Files *files)
{
    json_t *list = json_array();

    if (files->n_files > 1)
        qsort(files->files, files->n_files, sizeof(*files->files), compare_files);
    for (size_t i = 0; i < tree->n_processes; i++) {
        const Crs__Process *p = tree->processes[i];
        for (size_t j = 0; j < p->n_descriptors; j++) {
            Crs__OpenFile key = {.id = p->descriptors[j]->file}, *wanted = &key;
            Crs__OpenFile **file = files->n_files > 0
                                       ? bsearch(&wanted, files->files, files->n_files,
                                                 sizeof(*files->files), compare_files)
                                       : NULL;
            json_array_append_new(list,
                                  describe_descriptor(p, p->descriptors[j], file ? *file : NULL));
        }
    }
    return list;
}

/* How many descriptors there are of each kind, by name. */
static json_t *count_kinds(const json_t *descriptors)
{
    json_t *counts = json_object(), *item;
    size_t i;

    json_array_foreach(descriptors, i, item)
    {
        const char *kind = json_string_value(json_object_get(item, "kind"));
        json_int_t n = kind ? json_integer_value(json_object_get(counts, kind)) : 0;
        if (kind)
            json_object_set_new(counts, kind, json_integer(n + 1));
    }
    return counts;
}

/* The manifest's members that are for people and machines, not for the reader of files. */
static json_t *describe_manifest(const struct store_reader *reader)
{
    static const char *const inner[] = {"format", "files", "processes", "checksum"};
    json_t *object = json_pack("{s:i}", "schema", 1);

    json_object_update(object, store_reader_manifest(reader));
    for (size_t i = 0; i < ELEMENTS(inner); i++)
        json_object_del(object, inner[i]);
    json_object_set_new(object, "size_bytes", json_integer(store_reader_size_bytes(reader)));
    json_object_set_new(object, "shared_bytes", json_integer(store_reader_shared_bytes(reader)));
    return object;
}

struct records {
    Crs__Tree *tree;
    Crs__Files *files;
    Crs__Memory *memory;
};

static void records_clear(struct records *r)
{
    crs__tree__free_unpacked(r->tree, NULL);
    crs__files__free_unpacked(r->files, NULL);
    crs__memory__free_unpacked(r->memory, NULL);
}

static int records_read(struct store_reader *reader, struct records *ret, struct crs_error *err)
{
    int r = store_get_record(reader, "tree", &crs__tree__descriptor,
                             (ProtobufCMessage **)&ret->tree, err);
    if (r == 0)
        r = store_get_record(reader, "files", &crs__files__descriptor,
                             (ProtobufCMessage **)&ret->files, err);
    if (r == 0)
        r = store_get_record(reader, "memory", &crs__memory__descriptor,
                             (ProtobufCMessage **)&ret->memory, err);
    return r;
}

static int dump_json(json_t *json, char **ret_json, struct crs_error *err)
{
    char *text = json_dumps(json, JSON_COMPACT);

    if (!text)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the description");
    *ret_json = text;
    return 0;
}

int crs_snapshot_describe(struct crs_snapshot *snapshot, char **ret_json, struct crs_error *err)
{
    _cleanup_(records_clear) struct records records = {0};

    int r = records_read(snapshot->reader, &records, err);
    if (r < 0)
        return r;
    json_auto_t *object = describe_manifest(snapshot->reader);
    json_t *descriptors = describe_descriptors(records.tree, records.files);
    json_object_set_new(object, "descriptors_by_kind", count_kinds(descriptors));
    json_object_set_new(object, "processes", describe_processes(records.tree));
    json_object_set_new(object, "threads", describe_threads(records.tree));
    json_object_set_new(object, "memory", describe_memory(records.memory));
    json_object_set_new(object, "descriptors", descriptors);
    json_object_set_new(object, "mapped_files", describe_mapped_files(records.memory));
    return dump_json(object, ret_json, err);
}

static json_t *kind_row(const char *of, const char *name, const char *title, const char *saved,
                        const char *conditions, const char *privilege)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?}", "name", name, "of", of, "title", title,
                     "saved", saved, "conditions", conditions, "privilege", privilege);
}

#define ADD_KINDS(list, of, table)                                                                 \
    for (size_t i_ = 0; (table)[i_]; i_++)                                                         \
    json_array_append_new(list,                                                                    \
                          kind_row(of, (table)[i_]->name, (table)[i_]->title, (table)[i_]->saved,  \
                                   (table)[i_]->conditions, (table)[i_]->privilege))

int crs_kinds(char **ret_json, struct crs_error *err)
{
    json_auto_t *list = json_array();

    ADD_KINDS(list, "descriptor", kobj_file_kinds);
    ADD_KINDS(list, "process", kobj_process_kinds);
    ADD_KINDS(list, "thread", kobj_thread_kinds);
    return dump_json(list, ret_json, err);
}
