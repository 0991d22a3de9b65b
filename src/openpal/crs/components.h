/*
 * components.h - the built-in components
 */
#ifndef OPENPAL_CRS_COMPONENTS_H
#define OPENPAL_CRS_COMPONENTS_H

#include "opal/mca/crs/crs.h"

OPAL_DECLSPEC extern opal_crs_base_component_t mca_crs_self_component;
OPAL_DECLSPEC extern opal_crs_base_component_t mca_crs_blcr_component;
OPAL_DECLSPEC extern opal_crs_base_component_t mca_crs_none_component;

#endif
