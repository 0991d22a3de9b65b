/* error.c - a failure with words */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "descriptors.h"
#include "error.h"

int crs_fail(struct crs_error *err, enum crs_kind kind, int errnum, const char *format, ...)
{
    va_list ap;

    if (err) {
        err->kind = kind;
        err->errnum = errnum;
        va_start(ap, format);
        vsnprintf(err->text, sizeof(err->text), format, ap);
        va_end(ap);
    }
    return errnum > 0 ? -errnum : -EIO;
}

int crs_fail_errno(struct crs_error *err, enum crs_kind kind, const char *format, ...)
{
    int errnum = errno;
    va_list ap;

    if (err) {
        if (errnum == ENOSPC || errnum == EDQUOT || errnum == EIO)
            kind = CRS_STORAGE;
        if (is_want_of_descriptors(errnum) &&
            (kind == CRS_NOT_FOUND || kind == CRS_NOT_PERMITTED || kind == CRS_DAMAGED))
            kind = CRS_FAILED;
        err->kind = kind;
        err->errnum = errnum;
        va_start(ap, format);
        vsnprintf(err->text, sizeof(err->text), format, ap);
        va_end(ap);
        size_t n = strlen(err->text);
        snprintf(err->text + n, sizeof(err->text) - n, ": %s", strerror(errnum));
    }
    return errnum > 0 ? -errnum : -EIO;
}

int crs_fail_at(struct crs_error *err, int ret, const char *format, ...)
{
    char where[256], text[CRS_ERROR_TEXT_SIZE];
    va_list ap;

    if (!err)
        return ret;
    va_start(ap, format);
    vsnprintf(where, sizeof(where), format, ap);
    va_end(ap);
    memcpy(text, err->text, sizeof(text));
    text[sizeof(text) - 1] = 0;
    snprintf(err->text, sizeof(err->text), "%s: %.*s", where,
             (int)(sizeof(text) - sizeof(where) - 2), text);
    return ret;
}
