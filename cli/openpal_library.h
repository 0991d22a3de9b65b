/*
 * openpal_library.h - Open PAL's library, loaded when it is asked for
 *
 * The tool stands alone: its own functions need nothing of it. What its components say depends on
 * the very library that programs use, and on the same components, so that one is asked.
 */
#ifndef CLI_OPENPAL_LIBRARY_H
#define CLI_OPENPAL_LIBRARY_H

#include "base/error.h"
#include "openpal/mca/base_internal.h"

struct openpal_library {
    int (*open)(int *argc, char ***argv);
    int (*register_params)(void);
    int (*crs_open)(void);
    int (*survey)(void);
    int (*each_component)(int (*each)(const struct mca_base_component_info *, void *), void *);
    int (*each_param)(int (*each)(const struct mca_base_param_info *, void *), void *);
    int (*each_problem)(int (*each)(const char *, void *), void *);
    int (*crs_close)(void);
    void (*close)(void);
};

int openpal_library_load(struct openpal_library *ret, struct crs_error *err);

#endif
