/*
 * base_internal.h - the framework's base, inside of the library
 *
 * The function opal_crs.crs_checkpoint is the base's: it begins the snapshot, calls the selected
 * component's, and commits what that has made, or removes it. So a component writes its files into
 * snapshot->local_location and its lines with opal_crs_base_metadata_write_token(), in any order,
 * and what looks like a snapshot is one.
 */
#ifndef OPENPAL_CRS_BASE_INTERNAL_H
#define OPENPAL_CRS_BASE_INTERNAL_H

#include "opal/mca/crs/base/base.h"

/* The selected component; NULL without one. */
OPAL_DECLSPEC extern opal_crs_base_component_t *opal_crs_base_selected_component;

/* Built-in components, in the order in which equal priorities count; ends with NULL. */
extern const mca_base_component_t *const opal_crs_base_built_in[];

/* Between open and close, for a listing: which component could run here, and would be selected. */
OPAL_DECLSPEC int opal_crs_base_survey(void);

/* ---- snapshots under way ---- */

/* A directory is made under another name beside its place, and local_location is that until the
 * end. Nothing where that has been done. Fills in what is empty: reference_name, local_location,
 * component_name. */
int opal_crs_base_snapshot_begin(opal_crs_base_snapshot_t *snapshot, pid_t pid);

/* Where it is going to be: until the commit its files are made elsewhere in the same folder. */
OPAL_DECLSPEC const char *opal_crs_base_snapshot_place(const opal_crs_base_snapshot_t *snapshot);

/* All files are made safe, the metadata appears, the directory takes its place, and an older
 * snapshot there is gone. A component that ends or stops the process itself calls it before; a
 * second call does nothing. On failure the snapshot is still under way. */
OPAL_DECLSPEC int opal_crs_base_snapshot_commit(opal_crs_base_snapshot_t *snapshot);

/* All of it is removed. */
OPAL_DECLSPEC void opal_crs_base_snapshot_abort(opal_crs_base_snapshot_t *snapshot);

/* In a restarted process: nothing is under way any more. */
void opal_crs_base_snapshot_settle(opal_crs_base_snapshot_t *snapshot);

/* ---- metadata ---- */

/* All values of a key in the text of a metadata file, as an argv array, NULL: none. The text is
 * changed. */
int opal_crs_base_metadata_parse(char *text, const char *token, char ***ret_values);

#endif
