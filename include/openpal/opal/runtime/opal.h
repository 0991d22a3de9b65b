/*
 * opal.h - the beginning and the end of Open PAL in a process
 */
#ifndef OPAL_H
#define OPAL_H

#include "opal_config.h"

BEGIN_C_DECLS

/* Once, early in main(). Takes "-mca NAME VALUE" and "--mca NAME VALUE" out of the arguments (both
 * pointers may be NULL), reads the parameters, selects a component, begins to listen for requests.
 * A second call counts, and does nothing else. In a program that `self` restarts, the program's
 * restart function is called in here. Errors: OPAL_ERR_BAD_PARAM (an unknown parameter or a bad
 * value, with words on standard error), OPAL_ERR_NOT_AVAILABLE (the component that was asked for
 * can't run here), OPAL_ERR_OUT_OF_RESOURCE. */
OPAL_DECLSPEC int opal_init(int *pargc, char ***pargv);

/* The counterpart. The last one waits for a checkpoint that is under way, ends the thread, and
 * leaves nothing in the file system. */
OPAL_DECLSPEC int opal_finalize(void);

END_C_DECLS

#endif
