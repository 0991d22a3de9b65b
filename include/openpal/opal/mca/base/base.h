/*
 * base.h - the component base: parameters, and why a component can't run
 *
 * A parameter has a full name FRAMEWORK_COMPONENT_NAME, a type, a default and a meaning. Its value
 * comes from the strongest of: the command line (-mca NAME VALUE, --mca NAME VALUE, taken out of
 * argv by opal_init()); the environment (OPAL_MCA_NAME, then OMPI_MCA_NAME); the user's file
 * ($HOME/.openpal/mca-params.conf); the system's file (SYSCONFDIR/openpal-mca-params.conf); the
 * default. `crs info --params` lists them all. A value that isn't of the type is an error that
 * names the parameter, the value and its source, never a silent default.
 *
 * Two ways to register one, both those that components have used: mca_base_param_reg_*() and
 * mca_base_component_var_register(). Both may be called again for a name that exists; then they
 * give its value.
 *
 * Threads: registering is for opal_init() and one thread; looking up, for any.
 */
#ifndef OPAL_MCA_BASE_H
#define OPAL_MCA_BASE_H

#include "opal/class/opal_list.h"
#include "opal/class/opal_object.h"
#include "opal/constants.h"
#include "opal/mca/mca.h"

BEGIN_C_DECLS

/* ---- parameters, as to 1.6 ---- */

/* The parameter COMPONENT's type name + component name + NAME. `*current` gets the value; a string
 * is the caller's to free. The return value is the parameter's index (0 or more) or an error
 * below 0. An internal one isn't listed, a read-only one can't be set from outside: that is an
 * error. */
OPAL_DECLSPEC int mca_base_param_reg_int(const mca_base_component_t *component, const char *name,
                                         const char *help, bool internal, bool read_only,
                                         int default_value, int *current);
OPAL_DECLSPEC int mca_base_param_reg_string(const mca_base_component_t *component, const char *name,
                                            const char *help, bool internal, bool read_only,
                                            const char *default_value, char **current);

/* The same for a framework ("crs_base", "opal_cr"; NULL or "": NAME is the full name). */
OPAL_DECLSPEC int mca_base_param_reg_int_name(const char *type, const char *name, const char *help,
                                              bool internal, bool read_only, int default_value,
                                              int *current);
OPAL_DECLSPEC int mca_base_param_reg_string_name(const char *type, const char *name,
                                                 const char *help, bool internal, bool read_only,
                                                 const char *default_value, char **current);

/* The index of a full name in two parts, or OPAL_ERROR. */
OPAL_DECLSPEC int mca_base_param_find(const char *type, const char *component, const char *name);
OPAL_DECLSPEC int mca_base_param_lookup_int(int index, int *value);
OPAL_DECLSPEC int mca_base_param_lookup_string(int index, char **value);

/* From now on the value is that, above all sources. */
OPAL_DECLSPEC int mca_base_param_set_int(int index, int value);
OPAL_DECLSPEC int mca_base_param_set_string(int index, const char *value);

/* ---- parameters, as from 1.7 ---- */

typedef enum {
    MCA_BASE_VAR_TYPE_INT,
    MCA_BASE_VAR_TYPE_UNSIGNED_INT,
    MCA_BASE_VAR_TYPE_UNSIGNED_LONG,
    MCA_BASE_VAR_TYPE_UNSIGNED_LONG_LONG,
    MCA_BASE_VAR_TYPE_SIZE_T,
    MCA_BASE_VAR_TYPE_STRING,
    MCA_BASE_VAR_TYPE_VERSION_STRING,
    MCA_BASE_VAR_TYPE_BOOL,
    MCA_BASE_VAR_TYPE_DOUBLE,
    MCA_BASE_VAR_TYPE_MAX
} mca_base_var_type_t;

typedef enum {
    OPAL_INFO_LVL_1,
    OPAL_INFO_LVL_2,
    OPAL_INFO_LVL_3,
    OPAL_INFO_LVL_4,
    OPAL_INFO_LVL_5,
    OPAL_INFO_LVL_6,
    OPAL_INFO_LVL_7,
    OPAL_INFO_LVL_8,
    OPAL_INFO_LVL_9,
    OPAL_INFO_LVL_MAX
} mca_base_var_info_lvl_t;

typedef enum {
    MCA_BASE_VAR_SCOPE_CONSTANT,
    MCA_BASE_VAR_SCOPE_READONLY,
    MCA_BASE_VAR_SCOPE_LOCAL,
    MCA_BASE_VAR_SCOPE_GROUP,
    MCA_BASE_VAR_SCOPE_GROUP_EQ,
    MCA_BASE_VAR_SCOPE_ALL,
    MCA_BASE_VAR_SCOPE_ALL_EQ,
    MCA_BASE_VAR_SCOPE_MAX
} mca_base_var_scope_t;

typedef enum {
    MCA_BASE_VAR_FLAG_NONE = 0,
    MCA_BASE_VAR_FLAG_INTERNAL = 1,
    MCA_BASE_VAR_FLAG_DEFAULT_ONLY = 2, /* can't be set from outside */
    MCA_BASE_VAR_FLAG_SETTABLE = 4,
    MCA_BASE_VAR_FLAG_DEPRECATED = 8,
    MCA_BASE_VAR_FLAG_OVERRIDE = 16,
    MCA_BASE_VAR_FLAG_ENVIRONMENT_ONLY = 32,
    MCA_BASE_VAR_FLAG_DWG = 64
} mca_base_var_flag_t;

typedef struct mca_base_var_enum_value_t {
    int value;
    const char *string;
} mca_base_var_enum_value_t;

/* Names for values; ends with a NULL string. NULL where there are none. */
typedef struct mca_base_var_enum_t {
    opal_object_t super;
    const char *enum_name;
    const mca_base_var_enum_value_t *enum_values;
} mca_base_var_enum_t;

/* `storage` is a variable of that type: its value at the call is the default, and it gets the value
 * that holds. A string there is the base's: freed by opal_finalize(). `bind` is 0. */
OPAL_DECLSPEC int mca_base_component_var_register(
    const mca_base_component_t *component, const char *name, const char *description,
    mca_base_var_type_t type, mca_base_var_enum_t *enumerator, int bind, mca_base_var_flag_t flags,
    mca_base_var_info_lvl_t info_lvl, mca_base_var_scope_t scope, void *storage);
OPAL_DECLSPEC int mca_base_var_register(const char *project, const char *framework,
                                        const char *component, const char *name,
                                        const char *description, mca_base_var_type_t type,
                                        mca_base_var_enum_t *enumerator, int bind,
                                        mca_base_var_flag_t flags, mca_base_var_info_lvl_t info_lvl,
                                        mca_base_var_scope_t scope, void *storage);

/* ---- components ---- */

/* For a query function that is about to say no: why, in words for the user (`crs info` prints
 * them). Format as printf(3). Returns OPAL_ERR_NOT_AVAILABLE. */
OPAL_DECLSPEC int mca_base_component_unavailable(const mca_base_component_t *component,
                                                 const char *format, ...)
    __attribute__((format(printf, 2, 3)));

END_C_DECLS

#endif
