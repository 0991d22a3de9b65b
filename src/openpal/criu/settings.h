/*
 * settings.h - the component's parameters, and what its query has found
 */
#ifndef OPENPAL_CRIU_SETTINGS_H
#define OPENPAL_CRIU_SETTINGS_H

#include "opal/mca/crs/crs.h"
#include "openpal/criu/image.h"

struct criu_settings {
    struct image_settings image;
    char *binary;  /* parameter: name or path */
    char *program; /* the path that the query found; NULL before that */
    int leave_running;
    int pre_dump;   /* how many rounds */
    int increments; /* how many, one on the other, before the next whole image */
};

extern struct criu_settings criu_settings;
extern opal_crs_base_component_t mca_crs_criu_component;
extern opal_crs_base_module_t criu_module;

#endif
