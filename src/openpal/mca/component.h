/*
 * component.h - a framework's components: found, opened, asked, one selected, closed
 */
#ifndef OPENPAL_MCA_COMPONENT_H
#define OPENPAL_MCA_COMPONENT_H

#include "opal/mca/base/base.h"

struct mca_component {
    struct mca_component *next;
    const mca_base_component_t *component; /* NULL: couldn't be loaded */
    char *name;
    char *file;   /* NULL: built in */
    void *handle; /* of the dynamic linker */
    char *why_not;
    bool considered, opened, selected;
    int log; /* a stream that the framework has made for it; -1: none */
    int priority;
    mca_base_module_t *module; /* NULL: can't run here */
};

struct mca_framework {
    const char *name;
    int major, minor; /* of its components */
    const mca_base_component_t *const *built_in;
    void (*opened)(struct mca_component *component); /* after the component's open; may be NULL */
    void (*closed)(struct mca_component *component); /* after its close */
    struct mca_component *components;
};

/* Finds the components and has all of them register their parameters; the built-in ones come first,
 * in the order of their table, then those of the folders. `list` is the value of the parameter
 * named like the framework: which are considered. OPAL_ERR_BAD_PARAM: it has no sense, or names one
 * that isn't there; words are noted as a problem. */
int mca_framework_find(struct mca_framework *framework);
int mca_framework_find_in_folders(struct mca_framework *framework);
int mca_framework_consider(struct mca_framework *framework, const char *list);

/* Opens those that are considered, and asks them. Their order then is that of their priorities. */
void mca_framework_query(struct mca_framework *framework);

/* A new one at the end, without its struct; `file` NULL: built in. NULL: no memory. */
struct mca_component *mca_framework_add(struct mca_framework *framework, const char *name,
                                        const char *file);

/* The first one of that name, or NULL. */
struct mca_component *mca_framework_component(struct mca_framework *framework, const char *name);

/* Says that one can't run. */
void mca_component_refuse(struct mca_component *component, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Closes all but the selected one. */
void mca_framework_close_others(struct mca_framework *framework);
void mca_framework_close(struct mca_framework *framework);

#endif
