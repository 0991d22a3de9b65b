/*
 * output.c - log lines on standard error, each written whole
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "opal/constants.h"
#include "opal/util/output.h"

#define N_STREAMS 64

/* A stream's level, plus 1; 0: closed. Handle 0 is always open. */
static int levels[N_STREAMS] = {1};

int opal_output_open(void *lds)
{
    if (lds)
        return OPAL_ERR_NOT_SUPPORTED;
    for (int i = 1; i < N_STREAMS; i++) {
        int closed = 0;

        if (__atomic_compare_exchange_n(&levels[i], &closed, 1, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            return i;
    }
    return OPAL_ERR_OUT_OF_RESOURCE;
}

static bool is_open(int id)
{
    return id >= 0 && id < N_STREAMS && __atomic_load_n(&levels[id], __ATOMIC_ACQUIRE) > 0;
}

void opal_output_close(int output_id)
{
    if (output_id > 0 && is_open(output_id))
        __atomic_store_n(&levels[output_id], 0, __ATOMIC_RELEASE);
}

void opal_output_set_verbosity(int output_id, int level)
{
    if (is_open(output_id))
        __atomic_store_n(&levels[output_id], level < 0 ? 1 : level + 1, __ATOMIC_RELEASE);
}

int opal_output_get_verbosity(int output_id)
{
    return is_open(output_id) ? __atomic_load_n(&levels[output_id], __ATOMIC_ACQUIRE) - 1 : -1;
}

/* One write, so that lines of several processes on one terminal don't mix. A log line that can't be
 * written is lost: there is nobody to tell. */
static void print(const char *format, va_list list)
{
    _cleanup_free_ char *text = NULL, *line = NULL;
    int saved = errno;

    if (vasprintf(&text, format, list) < 0) {
        text = NULL;
    } else {
        size_t length = strlen(text);

        line = format_string("[opal %d] %s%s", (int)getpid(), text,
                             length > 0 && text[length - 1] == '\n' ? "" : "\n");
        if (line)
            (void)!write(STDERR_FILENO, line, strlen(line));
    }
    errno = saved;
}

void opal_output(int output_id, const char *format, ...)
{
    va_list list;

    if (!is_open(output_id))
        return;
    va_start(list, format);
    print(format, list);
    va_end(list);
}

void opal_output_verbose(int verbose_level, int output_id, const char *format, ...)
{
    va_list list;

    if (!is_open(output_id) || verbose_level > opal_output_get_verbosity(output_id))
        return;
    va_start(list, format);
    print(format, list);
    va_end(list);
}
