/*
 * table.c - the components that are built in
 *
 * Of equal priorities the upper one counts.
 */
#include "openpal/crs/base_internal.h"
#include "openpal/crs/components.h"

const mca_base_component_t *const opal_crs_base_built_in[] = {
    &mca_crs_self_component.base_version,
    &mca_crs_blcr_component.base_version,
    &mca_crs_none_component.base_version,
    NULL,
};
