/*
 * output.h - log lines of components and levels
 *
 * A handle is a stream with a level; 0 always exists (standard error, level 0). What is told with a
 * level above the stream's is dropped.
 *
 * Threads: any.
 */
#ifndef OPAL_OUTPUT_H
#define OPAL_OUTPUT_H

#include "opal_config.h"

BEGIN_C_DECLS

/* `lds` is NULL. A new stream on standard error, or an error below 0. */
OPAL_DECLSPEC int opal_output_open(void *lds);
OPAL_DECLSPEC void opal_output_close(int output_id);
OPAL_DECLSPEC void opal_output_set_verbosity(int output_id, int level);
OPAL_DECLSPEC int opal_output_get_verbosity(int output_id);

OPAL_DECLSPEC void opal_output(int output_id, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
OPAL_DECLSPEC void opal_output_verbose(int verbose_level, int output_id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

END_C_DECLS

#endif
