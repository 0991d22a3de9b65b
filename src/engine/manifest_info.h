/*
 * manifest_info.h - what the manifest says of a snapshot's making
 */
#ifndef ENGINE_MANIFEST_INFO_H
#define ENGINE_MANIFEST_INFO_H

#include <jansson.h>
#include "base/error.h"
#include "process.pb-c.h"
#include "tracee/arch/arch.h"

/* Host, kernel, processor, processes; the members are specified in docs/format.md. */
int manifest_info(const Crs__Tree *tree, json_t **ret, struct crs_error *err);

/* Of an encrypted snapshot: the arguments of commands may be secrets. */
void manifest_info_conceal(json_t *info);

/* Does this machine have the architecture and the processor's features that `manifest` names?
 * CRS_CANT_RESTART with what is missing. */
int manifest_check_machine(const json_t *manifest, struct crs_error *err);

/* How the vector state of the saved threads is laid out; this processor's way where the manifest
 * doesn't say. */
void manifest_xstate_layout(const json_t *manifest, struct arch_xstate_layout *ret);

#endif
