/*
 * opal_environ.h - environments as arrays of NAME=VALUE
 */
#ifndef OPAL_ENVIRON_H
#define OPAL_ENVIRON_H

#include "opal_config.h"

BEGIN_C_DECLS

/* Sets NAME in the array *env (&environ: the process's own). OPAL_EXISTS where it is there and may
 * not be overwritten. */
OPAL_DECLSPEC int opal_setenv(const char *name, const char *value, bool overwrite, char ***env);
OPAL_DECLSPEC int opal_unsetenv(const char *name, char ***env);

END_C_DECLS

#endif
