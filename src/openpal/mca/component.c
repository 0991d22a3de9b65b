/*
 * component.c - a framework's components: considered, opened, asked, closed
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "opal/util/argv.h"
#include "openpal/mca/base_internal.h"
#include "openpal/mca/component.h"
#include "openpal/mca/param.h"

/* All of the process: components that say why they can't run know only themselves. */
static struct mca_framework *frameworks[4];

/* ---- why one can't run ---- */

static void refuse_list(struct mca_component *component, const char *format, va_list list)
{
    char *words;

    if (vasprintf(&words, format, list) < 0)
        words = NULL;
    free(component->why_not);
    component->why_not = words;
    component->module = NULL;
}

void mca_component_refuse(struct mca_component *component, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    refuse_list(component, format, list);
    va_end(list);
}

static struct mca_component *entry_of(const mca_base_component_t *component)
{
    for (size_t i = 0; i < ELEMENTS(frameworks) && component; i++)
        for (struct mca_component *c = frameworks[i] ? frameworks[i]->components : NULL; c;
             c = c->next)
            if (c->component == component)
                return c;
    return NULL;
}

int mca_base_component_unavailable(const mca_base_component_t *component, const char *format, ...)
{
    struct mca_component *entry = entry_of(component);
    va_list list;

    va_start(list, format);
    if (entry)
        refuse_list(entry, format, list);
    va_end(list);
    return OPAL_ERR_NOT_AVAILABLE;
}

/* ---- found ---- */

static int remember(struct mca_framework *framework)
{
    for (size_t i = 0; i < ELEMENTS(frameworks); i++) {
        if (!frameworks[i] || frameworks[i] == framework) {
            frameworks[i] = framework;
            return OPAL_SUCCESS;
        }
    }
    return OPAL_ERR_OUT_OF_RESOURCE;
}

static struct mca_component **end_of(struct mca_framework *framework)
{
    struct mca_component **end = &framework->components;

    while (*end)
        end = &(*end)->next;
    return end;
}

struct mca_component *mca_framework_component(struct mca_framework *framework, const char *name)
{
    for (struct mca_component *c = framework->components; c; c = c->next)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

struct mca_component *mca_framework_add(struct mca_framework *framework, const char *name,
                                        const char *file)
{
    struct mca_component *entry = calloc(1, sizeof(*entry));

    if (!entry)
        return NULL;
    entry->name = strdup(name);
    entry->file = file ? strdup(file) : NULL;
    entry->log = -1;
    if (!entry->name || (file && !entry->file)) {
        free(entry->name);
        free(entry);
        return NULL;
    }
    *end_of(framework) = entry;
    return entry;
}

static int add_built_in(struct mca_framework *framework, const mca_base_component_t *component)
{
    struct mca_component *entry = mca_framework_add(framework, component->mca_component_name, NULL);

    if (!entry)
        return OPAL_ERR_OUT_OF_RESOURCE;
    entry->component = component;
    return OPAL_SUCCESS;
}

static void register_params(struct mca_component *entry)
{
    int r = OPAL_SUCCESS;

    if (entry->component && entry->component->mca_register_component_params)
        r = entry->component->mca_register_component_params();
    if (r < 0)
        mca_component_refuse(entry, "its parameters: %s", opal_strerror(r));
}

int mca_framework_find(struct mca_framework *framework)
{
    int r = remember(framework);

    for (size_t i = 0; framework->built_in[i] && r == OPAL_SUCCESS; i++)
        r = add_built_in(framework, framework->built_in[i]);
    if (r == OPAL_SUCCESS)
        r = mca_framework_find_in_folders(framework);
    for (struct mca_component *c = framework->components; c && r == OPAL_SUCCESS; c = c->next)
        register_params(c);
    return r;
}

/* ---- considered ---- */

static char *names_of(const struct mca_framework *framework)
{
    char *names = strdup("");

    for (struct mca_component *c = framework->components; c && names; c = c->next) {
        char *longer;

        if (!c->component)
            continue;
        longer = format_string("%s%s%s", names, *names ? ", " : "", c->name);
        free(names);
        names = longer;
    }
    return names;
}

static int consider_name(struct mca_framework *framework, const char *name, bool exclude)
{
    struct mca_component *entry = mca_framework_component(framework, name);
    _cleanup_free_ char *names = NULL;

    if (entry)
        entry->considered = !exclude;
    if (entry || exclude)
        return OPAL_SUCCESS;
    names = names_of(framework);
    mca_base_problem("parameter %s: there is no component \"%s\"; there are %s", framework->name,
                     name, names ? names : "others");
    return OPAL_ERR_BAD_PARAM;
}

/* "a,b": those; "^a,b": all but those; nothing: all. */
int mca_framework_consider(struct mca_framework *framework, const char *list)
{
    bool exclude = list && *list == '^';
    const char *names = list ? list + exclude : "";
    char **name;
    int r = OPAL_SUCCESS;

    if (strchr(names, '^')) {
        mca_base_problem("parameter %s: \"%s\" has ^ in the middle: it stands before the whole "
                         "list and leaves out what is on it",
                         framework->name, list);
        return OPAL_ERR_BAD_PARAM;
    }
    for (struct mca_component *c = framework->components; c; c = c->next)
        c->considered = exclude || *names == '\0';
    name = opal_argv_split(names, ',');
    for (int i = 0; name && name[i] && r == OPAL_SUCCESS; i++)
        r = consider_name(framework, name[i], exclude);
    opal_argv_free(name);
    return r;
}

/* ---- asked ---- */

static bool open_one(const struct mca_framework *framework, struct mca_component *entry)
{
    int r = OPAL_SUCCESS;

    if (entry->opened)
        return true;
    if (entry->why_not || !entry->component)
        return false;
    if (entry->component->mca_open_component)
        r = entry->component->mca_open_component();
    if (r != OPAL_SUCCESS && !entry->why_not)
        mca_component_refuse(entry, "can't be opened: %s", opal_strerror(r));
    entry->opened = r == OPAL_SUCCESS;
    if (entry->opened && framework->opened)
        framework->opened(entry);
    return entry->opened;
}

static void ask(struct mca_component *entry)
{
    mca_base_module_t *module = NULL;
    int priority = 0, r;

    if (!entry->component->mca_query_component) {
        mca_component_refuse(entry, "has no query function");
        return;
    }
    r = entry->component->mca_query_component(&module, &priority);
    if (r == OPAL_SUCCESS && module && priority >= 0) {
        entry->module = module;
        entry->priority = priority;
    } else if (!entry->why_not) {
        mca_component_refuse(entry, "%s",
                             r != OPAL_SUCCESS ? opal_strerror(r)
                             : module          ? "its priority is below 0"
                                               : "it gives no module");
    }
}

/* By priority; those of the same one stay in their order. */
static void sort(struct mca_framework *framework)
{
    struct mca_component *sorted = NULL;

    while (framework->components) {
        struct mca_component *c = framework->components, **at = &sorted;

        framework->components = c->next;
        while (*at && ((*at)->module != NULL) >= (c->module != NULL) &&
               (!c->module || (*at)->priority >= c->priority))
            at = &(*at)->next;
        c->next = *at;
        *at = c;
    }
    framework->components = sorted;
}

void mca_framework_query(struct mca_framework *framework)
{
    for (struct mca_component *c = framework->components; c; c = c->next)
        if (c->considered && open_one(framework, c))
            ask(c);
    sort(framework);
}

/* ---- closed ---- */

static void close_one(const struct mca_framework *framework, struct mca_component *entry)
{
    if (entry->opened && entry->component->mca_close_component)
        entry->component->mca_close_component();
    if (entry->opened && framework->closed)
        framework->closed(entry);
    entry->opened = false;
    entry->module = NULL;
}

void mca_framework_close_others(struct mca_framework *framework)
{
    for (struct mca_component *c = framework->components; c; c = c->next)
        if (!c->selected)
            close_one(framework, c);
}

static void free_entry(struct mca_component *entry)
{
    if (entry->handle) {
        mca_param_release_object(entry->component);
        dlclose(entry->handle);
    }
    free(entry->name);
    free(entry->file);
    free(entry->why_not);
    free(entry);
}

void mca_framework_close(struct mca_framework *framework)
{
    while (framework->components) {
        struct mca_component *entry = framework->components;

        framework->components = entry->next;
        close_one(framework, entry);
        free_entry(entry);
    }
    for (size_t i = 0; i < ELEMENTS(frameworks); i++)
        if (frameworks[i] == framework)
            frameworks[i] = NULL;
}

/* ---- listing ---- */

static int tell(const struct mca_framework *framework, const struct mca_component *c,
                int (*each)(const struct mca_base_component_info *, void *arg), void *arg)
{
    const mca_base_component_t *v = c->component;
    _cleanup_free_ char *version =
        v ? format_string("%d.%d.%d", v->mca_component_major_version,
                          v->mca_component_minor_version, v->mca_component_release_version)
          : NULL;
    struct mca_base_component_info info = {
        .framework = framework->name,
        .name = c->name,
        .version = version,
        .file = c->file,
        .considered = c->considered,
        .available = c->considered && !c->why_not,
        .selected = c->selected,
        .priority = c->priority,
        .why_not = c->why_not,
    };
    return each(&info, arg);
}

int mca_base_component_walk(int (*each)(const struct mca_base_component_info *, void *arg),
                            void *arg)
{
    int r = 0;

    for (size_t i = 0; i < ELEMENTS(frameworks); i++)
        for (struct mca_component *c = frameworks[i] ? frameworks[i]->components : NULL;
             c && r == 0; c = c->next)
            r = tell(frameworks[i], c, each, arg);
    return r;
}
