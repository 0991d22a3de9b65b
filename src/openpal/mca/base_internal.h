/*
 * base_internal.h - parameters and components, for the runtime, the tools and `crs info`
 *
 * Order: mca_base_open(), then the frameworks' open functions (all parameters get registered),
 * mca_base_check(), the frameworks' select functions, ..., mca_base_close().
 *
 * What is wrong with a setting (a bad value, a line of a file) is noted where it is met, in words;
 * mca_base_check() tells them all. So one run shows all that has to be mended.
 *
 * Threads: as base.h says.
 */
#ifndef OPENPAL_MCA_BASE_INTERNAL_H
#define OPENPAL_MCA_BASE_INTERNAL_H

#include "opal/mca/base/base.h"

/* Reads the files and the environment, takes "-mca NAME VALUE" out of the arguments (both may be
 * NULL). Registering a parameter does it too, without arguments. Once is enough: counted, and each
 * has its mca_base_close(). */
OPAL_DECLSPEC int mca_base_open(int *argc, char ***argv);

/* OPAL_ERR_BAD_PARAM when something is wrong with a setting, or a parameter is set that nobody has
 * registered; all of it is told on standard error, each once. */
OPAL_DECLSPEC int mca_base_check(void);

/* The counterpart of mca_base_open(): with the last one all parameters are gone, and variables that
 * were registered have the values of their registration again. */
OPAL_DECLSPEC void mca_base_close(void);

/* The same without a look for unknown ones. */
int mca_base_tell_problems(void);

/* Notes that something is wrong, for mca_base_check(). */
void mca_base_problem(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- for listings ---- */

struct mca_base_param_info {
    const char *name, *type;
    const char *value;         /* NULL: a string that isn't set */
    const char *default_value; /* the same */
    const char *source;        /* "default", "environment (OPAL_MCA_crs)", "/a/file:12", ... */
    const char *help;
    bool read_only, deprecated;
};

/* By name. Internal ones are left out. Until `each` returns something else than 0. */
OPAL_DECLSPEC int mca_base_param_walk(int (*each)(const struct mca_base_param_info *, void *arg),
                                      void *arg);

/* What is wrong, in the order in which it was met; unknown parameters last. */
OPAL_DECLSPEC int mca_base_problem_walk(int (*each)(const char *words, void *arg), void *arg);

struct mca_base_component_info {
    const char *framework, *name;
    const char *version; /* "2.0.0"; NULL: it couldn't be loaded */
    const char *file;    /* NULL: built in */
    bool considered;     /* false: the parameter named like the framework leaves it out */
    bool available;      /* it could run here */
    bool selected;       /* it does, or would */
    int priority;        /* where it is available */
    const char *why_not; /* NULL where it is available */
};
OPAL_DECLSPEC int
mca_base_component_walk(int (*each)(const struct mca_base_component_info *, void *arg), void *arg);

#endif
