/*
 * mca.h - what every component of every framework has in common
 *
 * A component is a struct that begins with mca_base_component_t. One that is loaded at run time is
 * a shared object mca_FRAMEWORK_NAME.so with a symbol mca_FRAMEWORK_NAME_component.
 *
 * Threads: the functions of a component are called by one thread, in opal_init() and
 * opal_finalize().
 */
#ifndef OPAL_MCA_H
#define OPAL_MCA_H

#include "opal_config.h"

BEGIN_C_DECLS

#define MCA_BASE_MAX_TYPE_NAME_LEN      31
#define MCA_BASE_MAX_COMPONENT_NAME_LEN 63

/* A module is a struct of functions; which, says the framework. */
typedef struct mca_base_module_2_0_0_t {
    int dummy_value;
} mca_base_module_2_0_0_t;
typedef mca_base_module_2_0_0_t mca_base_module_t;

/* Each may be NULL, but the query of a component that wants to be selected. */
typedef int (*mca_base_open_component_1_0_0_fn_t)(void);
typedef int (*mca_base_close_component_1_0_0_fn_t)(void);

/* Gives the module and its priority (0 to 100, the highest is selected). Another value than
 * OPAL_SUCCESS, or no module: can't run here; mca_base_component_unavailable() tells why. */
typedef int (*mca_base_query_component_2_0_0_fn_t)(mca_base_module_2_0_0_t **module, int *priority);

typedef int (*mca_base_register_component_params_2_0_0_fn_t)(void);

typedef struct mca_base_component_2_0_0_t {
    int mca_major_version;
    int mca_minor_version;
    int mca_release_version;
    char mca_type_name[MCA_BASE_MAX_TYPE_NAME_LEN + 1];
    int mca_type_major_version;
    int mca_type_minor_version;
    int mca_type_release_version;
    char mca_component_name[MCA_BASE_MAX_COMPONENT_NAME_LEN + 1];
    int mca_component_major_version;
    int mca_component_minor_version;
    int mca_component_release_version;
    mca_base_open_component_1_0_0_fn_t mca_open_component;
    mca_base_close_component_1_0_0_fn_t mca_close_component;
    mca_base_query_component_2_0_0_fn_t mca_query_component;
    mca_base_register_component_params_2_0_0_fn_t mca_register_component_params;
    char reserved[32];
} mca_base_component_2_0_0_t;
typedef mca_base_component_2_0_0_t mca_base_component_t;

#define MCA_BASE_METADATA_PARAM_NONE       0x0u
#define MCA_BASE_METADATA_PARAM_CHECKPOINT 0x2u /* works with checkpoints */

typedef struct mca_base_component_data_2_0_0_t {
    uint32_t param_field;
    char reserved[32];
} mca_base_component_data_2_0_0_t;
typedef mca_base_component_data_2_0_0_t mca_base_component_data_t;

#define MCA_BASE_VERSION_MAJOR   2
#define MCA_BASE_VERSION_MINOR   0
#define MCA_BASE_VERSION_RELEASE 0
#define MCA_BASE_VERSION_2_0_0                                                                     \
    MCA_BASE_VERSION_MAJOR, MCA_BASE_VERSION_MINOR, MCA_BASE_VERSION_RELEASE

END_C_DECLS

#endif
