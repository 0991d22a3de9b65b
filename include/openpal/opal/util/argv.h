/*
 * argv.h - arrays of strings that end with NULL
 *
 * Arrays and strings are on the heap. NULL is an empty array.
 */
#ifndef OPAL_ARGV_H
#define OPAL_ARGV_H

#include "opal_config.h"

BEGIN_C_DECLS

OPAL_DECLSPEC int opal_argv_append(int *argc, char ***argv, const char *arg);
OPAL_DECLSPEC int opal_argv_append_nosize(char ***argv, const char *arg);
OPAL_DECLSPEC void opal_argv_free(char **argv);
OPAL_DECLSPEC char **opal_argv_split(const char *string, int delimiter); /* no empty parts */
OPAL_DECLSPEC int opal_argv_count(char **argv);
OPAL_DECLSPEC char *opal_argv_join(char **argv, int delimiter);
OPAL_DECLSPEC char **opal_argv_copy(char **argv);

END_C_DECLS

#endif
