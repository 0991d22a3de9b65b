/*
 * param.h - parameters, inside of the component base
 *
 * A setting is what somebody wrote somewhere: a name, a value, a place. A parameter is what
 * somebody registered. Its value comes from the strongest setting of its name.
 */
#ifndef OPENPAL_MCA_PARAM_H
#define OPENPAL_MCA_PARAM_H

#include "base/array.h"
#include "opal/mca/base/base.h"

/* Weakest first. */
enum mca_source {
    MCA_SOURCE_DEFAULT,
    MCA_SOURCE_SYSTEM_FILE,
    MCA_SOURCE_USER_FILE,
    MCA_SOURCE_ENVIRONMENT_OMPI,
    MCA_SOURCE_ENVIRONMENT,
    MCA_SOURCE_COMMAND_LINE,
    MCA_SOURCE_SET
};

struct mca_setting {
    enum mca_source source;
    char *name, *value;
    char *place; /* words: "FILE:LINE", "environment (NAME)", "command line" */
};

union mca_value {
    int number;
    unsigned unsigned_number;
    unsigned long long_number;
    unsigned long long longest_number;
    size_t size;
    bool truth;
    double real;
    char *string;
};

/* A registrant's variable, and the value that it had. */
struct mca_binding {
    void *storage;
    union mca_value original;
};

struct mca_param {
    char *name, *help;
    mca_base_var_type_t type;
    mca_base_var_enum_t *enumerator;
    bool internal, read_only, deprecated;
    char *text, *default_text;
    char *place; /* NULL: the default */
    union mca_value value;
    ARRAY_OF(struct mca_binding) bindings;
};

/* ---- param_value.c: text and values ---- */

const char *mca_type_name(mca_base_var_type_t type);

/* OPAL_SUCCESS; OPAL_ERR_BAD_PARAM: not of that type; OPAL_ERR_VALUE_OUT_OF_BOUNDS. A string is
 * copied. */
int mca_value_parse(mca_base_var_type_t type, const mca_base_var_enum_t *enumerator,
                    const char *text, union mca_value *ret);

/* On the heap; NULL: no memory, or a string that is NULL. */
char *mca_value_text(mca_base_var_type_t type, const mca_base_var_enum_t *enumerator,
                     const union mca_value *value);

/* What the type takes, for an error message. On the heap. */
char *mca_value_expected(mca_base_var_type_t type, const mca_base_var_enum_t *enumerator);

/* From and to the registrant's variable. */
void mca_value_load(mca_base_var_type_t type, const void *storage, union mca_value *ret);
void mca_value_store(mca_base_var_type_t type, const union mca_value *value, void *storage);

/* ---- param_source.c: settings ---- */

/* Gathers those of the files and of the environment. */
int mca_settings_gather(void);
int mca_settings_from_arguments(int *argc, char ***argv);
void mca_settings_forget(void);

/* The strongest of a name, or NULL. */
const struct mca_setting *mca_setting_find(const char *name);

/* Weakest first. */
const struct mca_setting *mca_setting_at(size_t number);

/* Is it ours to know? Open PAL's variables are all, the files and Open MPI's variables have others'
 * parameters too. */
bool mca_setting_is_ours(const struct mca_setting *setting);

/* ---- param_file.c ---- */

/* Lines "NAME = VALUE". `add` gets each; what isn't one is a problem. A file that isn't there has
 * no lines. */
int mca_file_read(const char *path, enum mca_source source);
int mca_file_parse(const char *path, char *text, enum mca_source source);

int mca_setting_add(enum mca_source source, const char *name, const char *value, const char *place);

/* ---- param.c ---- */

struct mca_param *mca_param_find(const char *name);
void mca_param_resolve_all(void); /* settings have been added */
void mca_param_forget_all(void);

/* Nothing of the shared object that `address` is in will be used any more: it is about to be
 * unloaded. */
void mca_param_release_object(const void *address);

/* ---- retired.c ---- */

/* Why a parameter of other versions isn't one here; NULL: it never was one. */
const char *mca_param_why_retired(const char *name);

/* ---- base.c ---- */

int mca_base_open_if_closed(void);

#endif
