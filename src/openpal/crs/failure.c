/*
 * failure.c - the words of a component's failure
 *
 * The interface of components returns numbers only. What was written here by the thread that called
 * one is passed on to who asked for the checkpoint, or for the restart.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "opal/mca/crs/base/base.h"

static _Thread_local char words[1024];

int opal_crs_base_fail(int code, const char *format, ...)
{
    char text[sizeof(words)]; /* the arguments may be the words that are there */
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    strcpy(words, text);
    return code;
}

const char *opal_crs_base_failure(void)
{
    return words;
}

void opal_crs_base_clear_failure(void)
{
    words[0] = '\0';
}
