/*
 * environment.h - variables that go from the restarting tool to the restarted process
 *
 * A restored image has the environment of its first life. What the user gives opal-restart
 * (-mca, OPAL_MCA_... and OMPI_MCA_...) reaches the program by a file in the runtime's directory:
 * opal-env-ID-PID, where ID is the checkpoint's and PID the tool's; mode 0600, records NAME=VALUE
 * that each end with a zero byte. The process takes one with its ID, sets what is in it, and has
 * removed it before.
 */
#ifndef OPENPAL_RUNTIME_ENVIRONMENT_H
#define OPENPAL_RUNTIME_ENVIRONMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "openpal/runtime/place.h"

bool environment_is_ours(const char *variable); /* NAME=VALUE */

/* Writes it; the name is kept for environment_remove(). */
int environment_write(const struct place *place, uint64_t id, char name[PLACE_NAME_SIZE],
                      struct crs_error *err);
void environment_remove(const struct place *place, const char *name);

#endif
