/* manifest_info.c - what the manifest says of a snapshot's making, and what it asks of a machine */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "engine/manifest_info.h"
#include "tracee/arch/arch.h"

static json_t *features_json(void)
{
    json_t *list = json_array();
    char **names = NULL;
    size_t n = 0;

    arch_cpu_features(&names, &n);
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_string(names[i]));
        free(names[i]);
    }
    free(names);
    return list;
}

static json_t *processes_json(const Crs__Tree *tree)
{
    json_t *list = json_array();

    for (size_t i = 0; i < tree->n_processes; i++) {
        const Crs__Process *p = tree->processes[i];
        json_t *arguments = json_array();
        for (size_t j = 0; j < p->n_arguments && j < 32; j++)
            json_array_append_new(arguments,
                                  json_stringn_nocheck(p->arguments[j], strlen(p->arguments[j])));
        json_array_append_new(list,
                              json_pack("{s:i,s:o,s:o,s:i}", "pid", (int)p->pid, "command",
                                        json_stringn_nocheck(p->command, strlen(p->command)),
                                        "arguments", arguments, "threads", (int)p->n_threads));
    }
    return list;
}

void manifest_info_conceal(json_t *info)
{
    json_t *process;
    size_t i;

    json_array_foreach(json_object_get(info, "processes"), i, process)
        json_object_set_new(process, "arguments", json_array());
}

/* Names and arguments may hold any bytes; JSON holds UTF-8 only. */
static void mend_strings(json_t *value)
{
    size_t i;
    json_t *item;
    const char *key;

    json_array_foreach(value, i, item) mend_strings(item);
    json_object_foreach(value, key, item) mend_strings(item);
    if (!json_is_string(value))
        return;
    json_t *copy = json_string(json_string_value(value)); /* NULL: not UTF-8 */
    if (!copy) {
        _cleanup_free_ char *text = strdup(json_string_value(value));
        for (char *p = text; p && *p; p++)
            if (*p & 0x80)
                *p = '?';
        json_string_set(value, text ? text : "?");
    }
    json_decref(copy);
}

/* [[component, offset, size], ...] of the vector state's area. */
static json_t *xstate_json(const struct arch_xstate_layout *layout)
{
    json_t *list = json_array();

    for (unsigned i = 2; i < ARCH_XSTATE_PARTS; i++)
        if (layout->parts[i].size > 0)
            json_array_append_new(list, json_pack("[i,i,i]", i, (int)layout->parts[i].offset,
                                                  (int)layout->parts[i].size));
    return list;
}

void manifest_xstate_layout(const json_t *manifest, struct arch_xstate_layout *ret)
{
    const json_t *cpu = json_object_get(manifest, "cpu"), *item;
    const json_t *list = json_object_get(cpu, "xstate");
    int part, offset, size;
    size_t i;

    if (!json_is_array(list)) {
        arch_xstate_layout(ret);
        return;
    }
    *ret = (struct arch_xstate_layout){
        .xcr0 = json_integer_value(json_object_get(cpu, "xcr0")),
        .size = json_integer_value(json_object_get(cpu, "xsave_size")),
    };
    json_array_foreach(list, i, item)
    {
        if (json_unpack((json_t *)item, "[i,i,i]", &part, &offset, &size) < 0 || part < 2 ||
            part >= ARCH_XSTATE_PARTS || offset < 0 || size < 0)
            continue; /* missing, if a thread uses it */
        ret->parts[part].offset = offset;
        ret->parts[part].size = size;
    }
}

static json_t *namespaces_json(const Crs__Tree *tree)
{
    json_t *list = json_array();

    for (size_t i = 0; i < tree->n_namespaces; i++)
        json_array_append_new(list, json_string(tree->namespaces[i]));
    return list;
}

int manifest_info(const Crs__Tree *tree, json_t **ret, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes boot = {0};
    struct utsname u;
    struct arch_xstate_layout layout;

    uname(&u);
    arch_xstate_layout(&layout);
    if (read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 256, &boot) == 0)
        boot.data[strcspn((char *)boot.data, "\n")] = 0;
    json_t *info = json_pack("{s:s,s:s,s:s,s:s,s:s,s:{s:o,s:I,s:i,s:o},s:o}", "component", "crs",
                             "host", u.nodename, "kernel", u.release, "arch", arch_name, "boot_id",
                             boot.data ? (char *)boot.data : "", "cpu", "features", features_json(),
                             "xcr0", (json_int_t)layout.xcr0, "xsave_size", (int)layout.size,
                             "xstate", xstate_json(&layout), "processes", processes_json(tree));
    if (!info)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (tree->n_namespaces > 0)
        json_object_set_new(info, "namespaces", namespaces_json(tree));
    mend_strings(info);
    *ret = info;
    return 0;
}

/* The saved features that this processor lacks, as a list in words. */
static size_t missing_features(const json_t *saved, char *text, size_t size)
{
    json_t *here = features_json(), *item;
    size_t i, j, n_missing = 0;

    text[0] = 0;
    json_array_foreach(saved, i, item)
    {
        bool found = false;
        json_t *have;
        json_array_foreach(here, j, have) found |= json_equal(have, item);
        if (found || !json_is_string(item))
            continue;
        size_t n = strlen(text);
        snprintf(text + n, size - n, "%s%s", n_missing++ ? ", " : "", json_string_value(item));
    }
    json_decref(here);
    return n_missing;
}

int manifest_check_machine(const json_t *manifest, struct crs_error *err)
{
    const char *arch = json_string_value(json_object_get(manifest, "arch"));
    const json_t *cpu = json_object_get(manifest, "cpu");
    uint64_t saved_xcr0 = json_integer_value(json_object_get(cpu, "xcr0"));
    char missing[512];

    if (!arch || strcmp(arch, arch_name) != 0)
        return crs_fail(err, CRS_CANT_RESTART, ENOEXEC,
                        "the program was saved on a %s processor, this is %s", arch ? arch : "?",
                        arch_name);
    if (missing_features(json_object_get(cpu, "features"), missing, sizeof(missing)) > 0)
        return crs_fail(err, CRS_CANT_RESTART, ENOEXEC,
                        "this processor lacks features that the program may use: %s", missing);
    uint64_t lacking = arch_xstate_lacking(saved_xcr0);
    if (lacking)
        return crs_fail(err, CRS_CANT_RESTART, ENOEXEC,
                        "this processor can't hold the saved vector registers (it lacks %#lx of "
                        "XCR0 %#lx)",
                        lacking, saved_xcr0);
    return 0;
}
