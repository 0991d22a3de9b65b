/*
 * constants.h - what functions of the Open PAL interface return
 *
 * OPAL_SUCCESS, or one of the negative values. opal_strerror() has words for each.
 */
#ifndef OPAL_CONSTANTS_H
#define OPAL_CONSTANTS_H

#include "opal_config.h"

BEGIN_C_DECLS

#define OPAL_ERR_BASE 0

enum {
    OPAL_SUCCESS = OPAL_ERR_BASE,
    OPAL_ERROR = OPAL_ERR_BASE - 1,
    OPAL_ERR_OUT_OF_RESOURCE = OPAL_ERR_BASE - 2, /* memory, descriptors, threads */
    OPAL_ERR_TEMP_OUT_OF_RESOURCE = OPAL_ERR_BASE - 3,
    OPAL_ERR_RESOURCE_BUSY = OPAL_ERR_BASE - 4,
    OPAL_ERR_BAD_PARAM = OPAL_ERR_BASE - 5,
    OPAL_ERR_FATAL = OPAL_ERR_BASE - 6,
    OPAL_ERR_NOT_IMPLEMENTED = OPAL_ERR_BASE - 7,
    OPAL_ERR_NOT_SUPPORTED = OPAL_ERR_BASE - 8,
    OPAL_ERR_INTERRUPTED = OPAL_ERR_BASE - 9,
    OPAL_ERR_WOULD_BLOCK = OPAL_ERR_BASE - 10,
    OPAL_ERR_IN_ERRNO = OPAL_ERR_BASE - 11, /* errno has the reason */
    OPAL_ERR_UNREACH = OPAL_ERR_BASE - 12,
    OPAL_ERR_NOT_FOUND = OPAL_ERR_BASE - 13,
    OPAL_EXISTS = OPAL_ERR_BASE - 14, /* of a notification callback: can't now, ask me again */
    OPAL_ERR_TIMEOUT = OPAL_ERR_BASE - 15,
    OPAL_ERR_NOT_AVAILABLE = OPAL_ERR_BASE - 16, /* of a component's query: not on this machine */
    OPAL_ERR_PERM = OPAL_ERR_BASE - 17,
    OPAL_ERR_VALUE_OUT_OF_BOUNDS = OPAL_ERR_BASE - 18,
    OPAL_ERR_FILE_READ_FAILURE = OPAL_ERR_BASE - 19,
    OPAL_ERR_FILE_WRITE_FAILURE = OPAL_ERR_BASE - 20,
    OPAL_ERR_FILE_OPEN_FAILURE = OPAL_ERR_BASE - 21,
};

/* Words for a value above; a string that is never freed. Any thread. */
OPAL_DECLSPEC const char *opal_strerror(int errnum);

END_C_DECLS

#endif
