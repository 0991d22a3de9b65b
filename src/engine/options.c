/* options.c - the options that a caller gives, whatever crs.h it was built with */
#include <string.h>

#include "engine/options.h"

#define SIZE_MAX_SANE 65536 /* more is no size but an uninitialized field */

int options_take(void *ret, size_t size, const void *given, size_t first_size,
                 struct crs_error *err)
{
    const unsigned char *bytes = given;
    size_t given_size;

    if (!given)
        return 0;
    memcpy(&given_size, given, sizeof(given_size));
    if (given_size < first_size || given_size > SIZE_MAX_SANE)
        return crs_fail(err, CRS_USAGE, EINVAL,
                        "the options' struct_size is %zu, not %zu: begin with crs.h's "
                        "..._OPTIONS_INIT",
                        given_size, size);
    for (size_t i = size; i < given_size; i++)
        if (bytes[i] != 0)
            return crs_fail(err, CRS_USAGE, E2BIG,
                            "an option is set that is newer than this library (version %s)",
                            CRS_VERSION);
    memcpy(ret, given, given_size < size ? given_size : size);
    memcpy(ret, &size, sizeof(size));
    return 0;
}
