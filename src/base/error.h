/*
 * error.h - a failure with words
 *
 * The function that knows the fact fills the error with crs_fail() (or crs_fail_errno()) and
 * returns its value. A caller may add *where* once with crs_fail_at(). All accept err == NULL.
 *
 *     if (fd < 0)
 *         return crs_fail_errno(err, CRS_STORAGE, "can't create %s", path);
 *     r = dump_pipe(...);
 *     if (r < 0)
 *         return crs_fail_at(err, r, "fd %d", fd);
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <errno.h>
#include "crs.h"

/* Set kind, errnum and text; returns -errnum (-EIO when errnum is 0). */
int crs_fail(struct crs_error *err, enum crs_kind kind, int errnum, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with errno, whose words are appended: "can't create /x: No space left on device".
 * ENOSPC, EDQUOT and EIO make the kind CRS_STORAGE whatever was given; EMFILE and ENFILE, which
 * say nothing of what should have been opened, make CRS_NOT_FOUND, CRS_NOT_PERMITTED and
 * CRS_DAMAGED into CRS_FAILED. */
int crs_fail_errno(struct crs_error *err, enum crs_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "WHERE: " before the text that is there; returns `ret`. */
int crs_fail_at(struct crs_error *err, int ret, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
