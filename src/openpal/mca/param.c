/*
 * param.c - the parameters: registered, looked up, set, listed
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "opal/util/output.h"
#include "openpal/mca/base_internal.h"
#include "openpal/mca/param.h"

/* Registering is rare, looking up may be done by any thread: one lock for all of it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ARRAY_OF(struct mca_param *) params;

/* Strings that a variable had once, and that somebody may still hold. */
static ARRAY_OF(char *) old_strings;

static void unlock(pthread_mutex_t **mutex)
{
    pthread_mutex_unlock(*mutex);
}

#define LOCKED                                                                                     \
    __attribute__((cleanup(unlock), unused)) pthread_mutex_t *locked =                             \
        (pthread_mutex_lock(&lock), &lock)

static bool is_string(const struct mca_param *param)
{
    return param->type == MCA_BASE_VAR_TYPE_STRING ||
           param->type == MCA_BASE_VAR_TYPE_VERSION_STRING;
}

static int index_of(const char *name)
{
    for (size_t i = 0; i < params.n; i++)
        if (strcmp(params.items[i]->name, name) == 0)
            return (int)i;
    return OPAL_ERROR;
}

struct mca_param *mca_param_find(const char *name)
{
    int index = index_of(name);

    return index < 0 ? NULL : params.items[index];
}

/* ---- values ---- */

static int keep_old_string(char *string)
{
    char **kept = string ? ARRAY_ADD(&old_strings) : NULL;

    if (kept)
        *kept = string;
    return !string || kept ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE;
}

/* Takes the value, its text and its place. */
static int put(struct mca_param *param, union mca_value value, const char *place)
{
    char *words = place ? strdup(place) : NULL;
    int r = place && !words ? OPAL_ERR_OUT_OF_RESOURCE : OPAL_SUCCESS;

    if (r == OPAL_SUCCESS && is_string(param))
        r = keep_old_string(param->value.string);
    if (r != OPAL_SUCCESS) {
        free(words);
        if (is_string(param))
            free(value.string);
        return r;
    }
    free(param->place);
    param->place = words;
    param->value = value;
    free(param->text);
    param->text = mca_value_text(param->type, param->enumerator, &value);
    for (size_t i = 0; i < param->bindings.n; i++)
        mca_value_store(param->type, &value, param->bindings.items[i].storage);
    return OPAL_SUCCESS;
}

static int refuse(struct mca_param *param, const struct mca_setting *setting, int r)
{
    _cleanup_free_ char *expected = mca_value_expected(param->type, param->enumerator);

    mca_base_problem("parameter %s: \"%s\" is %s: it takes %s (from %s)", param->name,
                     setting->value,
                     r == OPAL_ERR_VALUE_OUT_OF_BOUNDS ? "out of range" : "no such value",
                     expected ? expected : mca_type_name(param->type), setting->place);
    return OPAL_SUCCESS;
}

/* A value that is none leaves the parameter as it is, and is noted. */
static int resolve(struct mca_param *param)
{
    const struct mca_setting *setting = mca_setting_find(param->name);
    union mca_value value = {0};
    int r;

    if (!setting)
        return OPAL_SUCCESS;
    if (param->read_only) {
        mca_base_problem("parameter %s can't be set (by %s): it only tells", param->name,
                         setting->place);
        return OPAL_SUCCESS;
    }
    if (param->deprecated)
        opal_output(0, "parameter %s (set by %s) is deprecated: %s", param->name, setting->place,
                    param->help);
    r = mca_value_parse(param->type, param->enumerator, setting->value, &value);
    if (r == OPAL_ERR_OUT_OF_RESOURCE)
        return r;
    return r == OPAL_SUCCESS ? put(param, value, setting->place) : refuse(param, setting, r);
}

/* ---- registering ---- */

static char *full_name(const char *a, const char *b, const char *c)
{
    const char *const parts[] = {a, b, c};
    char *name = strdup("");

    for (size_t i = 0; i < ELEMENTS(parts) && name; i++) {
        char *longer;

        if (!parts[i] || !*parts[i])
            continue;
        longer = format_string("%s%s%s", name, *name ? "_" : "", parts[i]);
        free(name);
        name = longer;
    }
    return name;
}

static struct mca_binding *binding_of(struct mca_param *param, const void *storage)
{
    for (size_t i = 0; i < param->bindings.n; i++)
        if (param->bindings.items[i].storage == storage)
            return &param->bindings.items[i];
    return NULL;
}

/* The variable has the parameter's value from now on. */
static int bind(struct mca_param *param, void *storage)
{
    struct mca_binding *binding;

    if (!storage || binding_of(param, storage))
        return OPAL_SUCCESS;
    binding = ARRAY_ADD(&param->bindings);
    if (!binding)
        return OPAL_ERR_OUT_OF_RESOURCE;
    binding->storage = storage;
    mca_value_load(param->type, storage, &binding->original);
    mca_value_store(param->type, &param->value, storage);
    return OPAL_SUCCESS;
}

static void unbind(struct mca_param *param, size_t number)
{
    struct mca_binding *binding = &param->bindings.items[number];

    mca_value_store(param->type, &binding->original, binding->storage);
    *binding = param->bindings.items[--param->bindings.n];
}

static void free_param(struct mca_param *param)
{
    while (param->bindings.n > 0)
        unbind(param, param->bindings.n - 1);
    free(param->bindings.items);
    if (is_string(param))
        free(param->value.string);
    free(param->name);
    free(param->help);
    free(param->text);
    free(param->default_text);
    free(param->place);
    free(param);
}

/* Its name is taken over, also on failure. */
static int new_param(struct mca_param model, const union mca_value *initial, void *storage)
{
    struct mca_param *param = malloc(sizeof(*param)), **slot;

    if (!param) {
        free(model.name);
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    *param = model;
    param->help = strdup(model.help ? model.help : "");
    param->default_text = mca_value_text(param->type, param->enumerator, initial);
    param->text = param->default_text ? strdup(param->default_text) : NULL;
    param->value = *initial;
    if (is_string(param))
        param->value.string = initial->string ? strdup(initial->string) : NULL;
    slot = param->help && bind(param, storage) == OPAL_SUCCESS ? ARRAY_ADD(&params) : NULL;
    if (!slot) {
        free_param(param);
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    *slot = param;
    return (int)params.n - 1;
}

static int register_locked(struct mca_param model, const union mca_value *initial, void *storage)
{
    int index = index_of(model.name), r;

    if (index < 0) {
        index = new_param(model, initial, storage);
        if (index < 0)
            return index;
        r = resolve(params.items[index]);
        return r == OPAL_SUCCESS ? index : r;
    }
    free(model.name);
    if (params.items[index]->type != model.type)
        return OPAL_ERR_BAD_PARAM;
    r = bind(params.items[index], storage);
    return r == OPAL_SUCCESS ? index : r;
}

/* Reads the settings first, if nobody has. */
static int register_param(struct mca_param model, const union mca_value *initial, void *storage)
{
    int r;

    if (!model.name)
        return OPAL_ERR_OUT_OF_RESOURCE;
    r = mca_base_open_if_closed();
    if (r != OPAL_SUCCESS) {
        free(model.name);
        return r;
    }
    LOCKED;
    return register_locked(model, initial, storage);
}

/* ---- as to 1.6 ---- */

static int reg_int(struct mca_param model, int default_value, int *current)
{
    union mca_value initial = {.number = default_value};
    int index;

    model.type = MCA_BASE_VAR_TYPE_INT;
    index = register_param(model, &initial, NULL);
    if (current && mca_base_param_lookup_int(index, current) != OPAL_SUCCESS)
        *current = default_value;
    return index;
}

static int reg_string(struct mca_param model, const char *default_value, char **current)
{
    union mca_value initial = {.string = (char *)default_value};
    int index;

    model.type = MCA_BASE_VAR_TYPE_STRING;
    index = register_param(model, &initial, NULL);
    if (current && mca_base_param_lookup_string(index, current) != OPAL_SUCCESS)
        *current = default_value ? strdup(default_value) : NULL;
    return index;
}

#define MODEL(full, text, is_internal, is_read_only)                                               \
    ((struct mca_param){.name = (full),                                                            \
                        .help = (char *)(text),                                                    \
                        .internal = (is_internal),                                                 \
                        .read_only = (is_read_only)})

int mca_base_param_reg_int(const mca_base_component_t *component, const char *name,
                           const char *help, bool internal, bool read_only, int default_value,
                           int *current)
{
    char *full = full_name(component->mca_type_name, component->mca_component_name, name);

    return reg_int(MODEL(full, help, internal, read_only), default_value, current);
}

int mca_base_param_reg_string(const mca_base_component_t *component, const char *name,
                              const char *help, bool internal, bool read_only,
                              const char *default_value, char **current)
{
    char *full = full_name(component->mca_type_name, component->mca_component_name, name);

    return reg_string(MODEL(full, help, internal, read_only), default_value, current);
}

int mca_base_param_reg_int_name(const char *type, const char *name, const char *help, bool internal,
                                bool read_only, int default_value, int *current)
{
    char *full = full_name(type, name, NULL);

    return reg_int(MODEL(full, help, internal, read_only), default_value, current);
}

int mca_base_param_reg_string_name(const char *type, const char *name, const char *help,
                                   bool internal, bool read_only, const char *default_value,
                                   char **current)
{
    char *full = full_name(type, name, NULL);

    return reg_string(MODEL(full, help, internal, read_only), default_value, current);
}

int mca_base_param_find(const char *type, const char *component, const char *name)
{
    _cleanup_free_ char *full = full_name(type, component, name);

    LOCKED;
    return full ? index_of(full) : OPAL_ERROR;
}

static struct mca_param *at(int index)
{
    return index >= 0 && (size_t)index < params.n ? params.items[index] : NULL;
}

int mca_base_param_lookup_int(int index, int *value)
{
    LOCKED;
    struct mca_param *param = at(index);

    if (!param)
        return OPAL_ERR_NOT_FOUND;
    if (param->type == MCA_BASE_VAR_TYPE_BOOL)
        *value = param->value.truth;
    else if (param->type == MCA_BASE_VAR_TYPE_INT)
        *value = param->value.number;
    else
        return OPAL_ERR_BAD_PARAM;
    return OPAL_SUCCESS;
}

int mca_base_param_lookup_string(int index, char **value)
{
    LOCKED;
    struct mca_param *param = at(index);
    char *copy = NULL;

    if (!param)
        return OPAL_ERR_NOT_FOUND;
    if (!is_string(param))
        return OPAL_ERR_BAD_PARAM;
    if (param->value.string && !(copy = strdup(param->value.string)))
        return OPAL_ERR_OUT_OF_RESOURCE;
    *value = copy;
    return OPAL_SUCCESS;
}

int mca_base_param_set_int(int index, int value)
{
    LOCKED;
    struct mca_param *param = at(index);

    if (!param || param->type != MCA_BASE_VAR_TYPE_INT)
        return param ? OPAL_ERR_BAD_PARAM : OPAL_ERR_NOT_FOUND;
    return put(param, (union mca_value){.number = value}, "program");
}

int mca_base_param_set_string(int index, const char *value)
{
    LOCKED;
    struct mca_param *param = at(index);
    char *copy;

    if (!param || !is_string(param))
        return param ? OPAL_ERR_BAD_PARAM : OPAL_ERR_NOT_FOUND;
    copy = value ? strdup(value) : NULL;
    if (value && !copy)
        return OPAL_ERR_OUT_OF_RESOURCE;
    return put(param, (union mca_value){.string = copy}, "program");
}

/* ---- as from 1.7 ---- */

static int reg_var(char *full, const char *description, mca_base_var_type_t type,
                   mca_base_var_enum_t *enumerator, int flags, mca_base_var_scope_t scope,
                   void *storage)
{
    union mca_value initial = {0};
    struct mca_param model = {
        .name = full,
        .help = (char *)description,
        .type = type,
        .enumerator = enumerator,
        .internal = (flags & MCA_BASE_VAR_FLAG_INTERNAL) != 0,
        .read_only =
            (flags & MCA_BASE_VAR_FLAG_DEFAULT_ONLY) != 0 || scope == MCA_BASE_VAR_SCOPE_CONSTANT,
        .deprecated = (flags & MCA_BASE_VAR_FLAG_DEPRECATED) != 0,
    };

    if (type < 0 || type >= MCA_BASE_VAR_TYPE_MAX || !storage) {
        free(full);
        return OPAL_ERR_BAD_PARAM;
    }
    mca_value_load(type, storage, &initial);
    return register_param(model, &initial, storage);
}

int mca_base_component_var_register(const mca_base_component_t *component, const char *name,
                                    const char *description, mca_base_var_type_t type,
                                    mca_base_var_enum_t *enumerator, int bind,
                                    mca_base_var_flag_t flags, mca_base_var_info_lvl_t info_lvl,
                                    mca_base_var_scope_t scope, void *storage)
{
    char *full = full_name(component->mca_type_name, component->mca_component_name, name);

    return reg_var(full, description, type, enumerator, flags, scope, storage);
}

int mca_base_var_register(const char *project, const char *framework, const char *component,
                          const char *name, const char *description, mca_base_var_type_t type,
                          mca_base_var_enum_t *enumerator, int bind, mca_base_var_flag_t flags,
                          mca_base_var_info_lvl_t info_lvl, mca_base_var_scope_t scope,
                          void *storage)
{
    return reg_var(full_name(framework, component, name), description, type, enumerator, flags,
                   scope, storage);
}

/* ---- the end, and listings ---- */

void mca_param_resolve_all(void)
{
    LOCKED;
    for (size_t i = 0; i < params.n; i++)
        resolve(params.items[i]);
}

static void *object_of(const void *address)
{
    Dl_info info;

    return address && dladdr((void *)(uintptr_t)address, &info) ? info.dli_fbase : NULL;
}

void mca_param_release_object(const void *address)
{
    void *object = object_of(address);

    LOCKED;
    for (size_t i = 0; i < params.n && object; i++) {
        struct mca_param *param = params.items[i];

        for (size_t n = param->bindings.n; n > 0; n--)
            if (object_of(param->bindings.items[n - 1].storage) == object)
                unbind(param, n - 1);
        if (object_of(param->enumerator) == object)
            param->enumerator = NULL;
    }
}

void mca_param_forget_all(void)
{
    LOCKED;
    for (size_t i = 0; i < params.n; i++)
        free_param(params.items[i]);
    for (size_t i = 0; i < old_strings.n; i++)
        free(old_strings.items[i]);
    free(params.items);
    free(old_strings.items);
    memset(&params, 0, sizeof(params));
    memset(&old_strings, 0, sizeof(old_strings));
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct mca_param *const *)a)->name, (*(struct mca_param *const *)b)->name);
}

static int tell(const struct mca_param *param,
                int (*each)(const struct mca_base_param_info *, void *arg), void *arg)
{
    struct mca_base_param_info info = {
        .name = param->name,
        .type = mca_type_name(param->type),
        .value = param->text,
        .default_value = param->default_text,
        .source = param->place ? param->place : "default",
        .help = param->help,
        .read_only = param->read_only,
        .deprecated = param->deprecated,
    };
    return param->internal ? 0 : each(&info, arg);
}

int mca_base_param_walk(int (*each)(const struct mca_base_param_info *, void *arg), void *arg)
{
    LOCKED;
    size_t n = params.n;
    _cleanup_free_ struct mca_param **sorted = calloc(n + 1, sizeof(struct mca_param *));
    int r = 0;

    if (!sorted)
        return OPAL_ERR_OUT_OF_RESOURCE;
    if (n > 0)
        memcpy(sorted, params.items, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_name);
    for (size_t i = 0; i < n && r == 0; i++)
        r = tell(sorted[i], each, arg);
    return r;
}
