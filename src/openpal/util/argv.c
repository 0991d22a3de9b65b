/*
 * argv.c - arrays of strings that end with NULL
 */
#include <stdlib.h>
#include <string.h>

#include "opal/constants.h"
#include "opal/util/argv.h"

int opal_argv_count(char **argv)
{
    int n = 0;

    while (argv && argv[n])
        n++;
    return n;
}

static int append_taken(char ***argv, char *taken)
{
    int n = opal_argv_count(*argv);
    char **larger = taken ? realloc(*argv, ((size_t)n + 2) * sizeof(*larger)) : NULL;

    if (!larger) {
        free(taken);
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    larger[n] = taken;
    larger[n + 1] = NULL;
    *argv = larger;
    return OPAL_SUCCESS;
}

int opal_argv_append_nosize(char ***argv, const char *arg)
{
    return arg ? append_taken(argv, strdup(arg)) : OPAL_ERR_BAD_PARAM;
}

int opal_argv_append(int *argc, char ***argv, const char *arg)
{
    int r = opal_argv_append_nosize(argv, arg);

    if (r == OPAL_SUCCESS && argc)
        *argc = opal_argv_count(*argv);
    return r;
}

void opal_argv_free(char **argv)
{
    for (int i = 0; argv && argv[i]; i++)
        free(argv[i]);
    free(argv);
}

char **opal_argv_split(const char *string, int delimiter)
{
    char **argv = NULL;
    const char set[] = {(char)delimiter, '\0'};

    while (string && *string) {
        size_t length = strcspn(string, set);

        if (length > 0 && append_taken(&argv, strndup(string, length)) != OPAL_SUCCESS) {
            opal_argv_free(argv);
            return NULL;
        }
        string += length + (string[length] != '\0');
    }
    return argv;
}

char *opal_argv_join(char **argv, int delimiter)
{
    size_t size = 1;
    char *joined, *at;

    for (int i = 0; argv && argv[i]; i++)
        size += strlen(argv[i]) + 1;
    joined = at = malloc(size);
    if (!joined)
        return NULL;
    for (int i = 0; argv && argv[i]; i++) {
        if (i > 0)
            *at++ = (char)delimiter;
        at = stpcpy(at, argv[i]);
    }
    *at = '\0';
    return joined;
}

char **opal_argv_copy(char **argv)
{
    char **copy = argv ? calloc(1, sizeof(*copy)) : NULL;

    for (int i = 0; copy && argv[i]; i++) {
        if (opal_argv_append_nosize(&copy, argv[i]) != OPAL_SUCCESS) {
            opal_argv_free(copy);
            return NULL;
        }
    }
    return copy;
}
