/*
 * environ.c - environments: the process's own through the C library, other ones as arrays
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "opal/constants.h"
#include "opal/util/argv.h"
#include "opal/util/opal_environ.h"

static bool name_is_sound(const char *name)
{
    return name && *name && !strchr(name, '=');
}

static int find(char **env, const char *name)
{
    size_t length = strlen(name);

    for (int i = 0; env && env[i]; i++)
        if (strncmp(env[i], name, length) == 0 && env[i][length] == '=')
            return i;
    return -1;
}

static int set_own(const char *name, const char *value, bool overwrite)
{
    if (!overwrite && getenv(name))
        return OPAL_EXISTS;
    return setenv(name, value, 1) == 0 ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE;
}

int opal_setenv(const char *name, const char *value, bool overwrite, char ***env)
{
    _cleanup_free_ char *line = NULL;
    int at;

    if (!name_is_sound(name) || !env)
        return OPAL_ERR_BAD_PARAM;
    if (!value)
        value = "";
    if (env == &environ)
        return set_own(name, value, overwrite);
    at = find(*env, name);
    if (at >= 0 && !overwrite)
        return OPAL_EXISTS;
    line = format_string("%s=%s", name, value);
    if (!line)
        return OPAL_ERR_OUT_OF_RESOURCE;
    if (at < 0)
        return opal_argv_append_nosize(env, line);
    free((*env)[at]);
    (*env)[at] = TAKE_PTR(line);
    return OPAL_SUCCESS;
}

int opal_unsetenv(const char *name, char ***env)
{
    int at;

    if (!name_is_sound(name) || !env)
        return OPAL_ERR_BAD_PARAM;
    if (env == &environ) {
        if (!getenv(name))
            return OPAL_ERR_NOT_FOUND;
        return unsetenv(name) == 0 ? OPAL_SUCCESS : OPAL_ERR_BAD_PARAM;
    }
    at = find(*env, name);
    if (at < 0)
        return OPAL_ERR_NOT_FOUND;
    free((*env)[at]);
    for (; (*env)[at]; at++)
        (*env)[at] = (*env)[at + 1];
    return OPAL_SUCCESS;
}
