/*
 * parameters.h - the parameters of Open PAL, in its tools
 */
#ifndef CLI_OPENPAL_PARAMETERS_H
#define CLI_OPENPAL_PARAMETERS_H

#include <stdbool.h>

#include "base/error.h"

/* Takes "-mca NAME VALUE" out of the arguments, and opens the parameters and the framework; selects
 * nothing. What is wrong is told on standard error. `hand_on`: settings of the command line become
 * OPAL_MCA_NAME in the environment, for the program that is restarted. */
int parameters_open(int *argc, char ***argv, bool hand_on, struct crs_error *err);
void parameters_close(void);

/* One that is a string, on the heap, or NULL. */
char *parameters_string(const char *type, const char *component, const char *name);

#endif
