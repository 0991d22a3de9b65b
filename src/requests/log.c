/* log.c - what a request has to say: a line for each warning and error */
#include <stdarg.h>
#include <string.h>

#include "libcr.h"
#include "requests/request.h"

static void add_line(struct request *q, const char *text)
{
    if (q->log_file)
        fprintf(q->log_file, "%s\n", text);
}

static void add_formatted(struct request *q, const char *format, va_list args)
{
    char text[CRS_ERROR_TEXT_SIZE];

    vsnprintf(text, sizeof(text), format, args);
    add_line(q, text);
}

int request_fail(struct request *q, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_formatted(q, format, args);
    va_end(args);
    return -code;
}

int request_fail_with(struct request *q, int code, const struct crs_error *err)
{
    add_line(q, err->text);
    return -code;
}

void request_warn(struct request *q, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_formatted(q, format, args);
    va_end(args);
}

int request_code(int r, const struct crs_error *err)
{
    switch (err->kind) {
    case CRS_NOT_FOUND:
        return ESRCH;
    case CRS_NOT_PERMITTED:
        return EPERM;
    case CRS_BUSY:
        return EBUSY;
    case CRS_TIMED_OUT:
        return ETIMEDOUT;
    default:
        return err->errnum ? err->errnum : r < 0 ? -r : EIO;
    }
}
