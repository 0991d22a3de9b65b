/*
 * strerror.c - words for what functions of the interface return
 */
#include "opal/constants.h"

static const char *const words[] = {
    [-OPAL_SUCCESS] = "success",
    [-OPAL_ERROR] = "error",
    [-OPAL_ERR_OUT_OF_RESOURCE] = "out of memory or of another resource",
    [-OPAL_ERR_TEMP_OUT_OF_RESOURCE] = "out of a resource for the moment",
    [-OPAL_ERR_RESOURCE_BUSY] = "busy",
    [-OPAL_ERR_BAD_PARAM] = "bad parameter",
    [-OPAL_ERR_FATAL] = "fatal error",
    [-OPAL_ERR_NOT_IMPLEMENTED] = "not implemented",
    [-OPAL_ERR_NOT_SUPPORTED] = "not supported",
    [-OPAL_ERR_INTERRUPTED] = "interrupted",
    [-OPAL_ERR_WOULD_BLOCK] = "would block",
    [-OPAL_ERR_IN_ERRNO] = "a system call failed",
    [-OPAL_ERR_UNREACH] = "unreachable",
    [-OPAL_ERR_NOT_FOUND] = "not found",
    [-OPAL_EXISTS] = "exists, or not now",
    [-OPAL_ERR_TIMEOUT] = "timed out",
    [-OPAL_ERR_NOT_AVAILABLE] = "not available here",
    [-OPAL_ERR_PERM] = "not permitted",
    [-OPAL_ERR_VALUE_OUT_OF_BOUNDS] = "value out of bounds",
    [-OPAL_ERR_FILE_READ_FAILURE] = "a file can't be read",
    [-OPAL_ERR_FILE_WRITE_FAILURE] = "a file can't be written",
    [-OPAL_ERR_FILE_OPEN_FAILURE] = "a file can't be opened",
};

const char *opal_strerror(int errnum)
{
    const int n = sizeof(words) / sizeof(words[0]);

    return errnum <= 0 && errnum > -n ? words[-errnum] : "unknown error";
}
