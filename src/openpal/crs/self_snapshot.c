/*
 * self_snapshot.c - how a program that `self` saved is started again: written and read
 *
 * CONTEXT is the command; the other lines say where it is run, and what the component has to know
 * in there. Each value is written as words of a command, so that any path is one line.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "opal/util/argv.h"
#include "openpal/crs/command.h"
#include "openpal/crs/self.h"
#include "openpal/runtime/metadata.h"

/* ---- the program's own command line ---- */

static int read_arguments(char ***ret)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/self/cmdline", "re");
    _cleanup_free_ char *word = NULL;
    size_t size = 0;

    while (file && getdelim(&word, &size, '\0', file) > 0)
        if (opal_argv_append_nosize(ret, word) != OPAL_SUCCESS)
            return OPAL_ERR_OUT_OF_RESOURCE;
    return *ret ? OPAL_SUCCESS : OPAL_ERR_FILE_READ_FAILURE;
}

/* A file that was replaced meanwhile is looked for by its name. */
static char *read_executable(void)
{
    static const char mark[] = " (deleted)";
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (n <= 0)
        return NULL;
    path[n] = '\0';
    if ((size_t)n >= sizeof(mark) && strcmp(path + n - (sizeof(mark) - 1), mark) == 0)
        path[n - (ssize_t)(sizeof(mark) - 1)] = '\0';
    return strdup(path);
}

int opal_crs_self_origin_read(struct opal_crs_self_origin *ret)
{
    struct opal_crs_self_origin origin = {0};
    int r = read_arguments(&origin.argv);

    origin.exe = read_executable();
    origin.cwd = getcwd(NULL, 0);
    if (r != OPAL_SUCCESS || !origin.exe || !origin.cwd) {
        opal_crs_self_origin_clear(&origin);
        return opal_crs_base_fail(OPAL_ERROR, "the program's command line or directory can't be "
                                              "read: %m");
    }
    *ret = origin;
    return OPAL_SUCCESS;
}

void opal_crs_self_origin_clear(struct opal_crs_self_origin *origin)
{
    opal_argv_free(origin->argv);
    free(origin->exe);
    free(origin->cwd);
    *origin = (struct opal_crs_self_origin){0};
}

/* ---- writing ---- */

static int write_words(const char *location, const char *key, char **argv)
{
    _cleanup_free_ char *text = opal_crs_command_join(argv);

    if (!text)
        return OPAL_ERR_OUT_OF_RESOURCE;
    return opal_crs_base_metadata_write_token(location, key, text);
}

static int write_word(const char *location, const char *key, const char *word)
{
    char *argv[] = {(char *)word, NULL};

    return word ? write_words(location, key, argv) : OPAL_SUCCESS;
}

/* What the program's function wants is run in the directory in which the program is now. */
static int write_given(const char *location, const char *command)
{
    _cleanup_free_ char *cwd = getcwd(NULL, 0);
    char **argv = NULL;
    const char *fault = opal_crs_command_split(command, &argv);

    if (fault)
        return opal_crs_base_fail(OPAL_ERR_BAD_PARAM,
                                  "the restart command '%s' of the program's function is no "
                                  "command: %s",
                                  command, fault);
    int r = write_words(location, CRS_METADATA_CONTEXT, argv);
    opal_argv_free(argv);
    return r == OPAL_SUCCESS ? write_word(location, SELF_METADATA_CWD, cwd) : r;
}

static int write_own(const char *location, const struct opal_crs_self_origin *origin)
{
    int r = write_words(location, CRS_METADATA_CONTEXT, origin->argv);

    if (r == OPAL_SUCCESS)
        r = write_word(location, SELF_METADATA_EXE, origin->exe);
    return r == OPAL_SUCCESS ? write_word(location, SELF_METADATA_CWD, origin->cwd) : r;
}

int opal_crs_self_write(const char *location, const char *command, const char *prefix,
                        const struct opal_crs_self_origin *origin)
{
    int r = command ? write_given(location, command) : write_own(location, origin);

    return r == OPAL_SUCCESS ? write_word(location, SELF_METADATA_PREFIX, prefix) : r;
}

/* ---- reading ---- */

/* The words of the last line with that key; NULL: there is none. */
static int read_words(const char *location, const char *key, char ***ret)
{
    char **values = NULL;
    int r = opal_crs_base_metadata_read_token(location, key, &values);

    *ret = NULL;
    if (r != OPAL_SUCCESS)
        return r == OPAL_ERR_NOT_FOUND ? OPAL_SUCCESS : r;
    const char *value = values[opal_argv_count(values) - 1];
    const char *fault = opal_crs_command_split(value, ret);
    if (fault)
        r = opal_crs_base_fail(OPAL_ERR_FILE_READ_FAILURE, "%s/%s: '%s%s': %s", location,
                               CRS_METADATA_FILENAME, key, value, fault);
    opal_argv_free(values);
    return r;
}

static int read_word(const char *location, const char *key, char **ret)
{
    char **words = NULL;
    int r = read_words(location, key, &words);

    if (r == OPAL_SUCCESS && words) {
        *ret = words[0];
        words[0] = NULL;
        for (char **rest = words + 1; *rest; rest++)
            free(*rest);
        free(words);
    }
    return r;
}

/* Written by the runtime. */
static int read_restarts(const char *location, int *ret)
{
    _cleanup_free_ char *text = NULL;
    char *end = NULL;
    int r = read_word(location, METADATA_RESTARTS, &text);

    if (r != OPAL_SUCCESS || !text)
        return r;
    long n = strtol(text, &end, 10);
    if (n < 0 || n >= INT_MAX || *end)
        return opal_crs_base_fail(OPAL_ERR_FILE_READ_FAILURE,
                                  "%s/%s: '%s' is no number of restarts", location,
                                  CRS_METADATA_FILENAME, text);
    *ret = (int)n;
    return OPAL_SUCCESS;
}

int opal_crs_self_read(const char *location, struct opal_crs_self_snapshot *ret)
{
    struct opal_crs_self_snapshot s = {0};
    int r = read_words(location, CRS_METADATA_CONTEXT, &s.argv);

    if (r == OPAL_SUCCESS && !s.argv)
        r = opal_crs_base_fail(OPAL_ERR_NOT_FOUND, "%s/%s has no restart command", location,
                               CRS_METADATA_FILENAME);
    if (r == OPAL_SUCCESS)
        r = read_word(location, SELF_METADATA_EXE, &s.exe);
    if (r == OPAL_SUCCESS)
        r = read_word(location, SELF_METADATA_CWD, &s.cwd);
    if (r == OPAL_SUCCESS)
        r = read_word(location, SELF_METADATA_PREFIX, &s.prefix);
    if (r == OPAL_SUCCESS)
        r = read_restarts(location, &s.n_restarts);
    if (r == OPAL_SUCCESS)
        *ret = s;
    else
        opal_crs_self_snapshot_clear(&s);
    return r;
}

void opal_crs_self_snapshot_clear(struct opal_crs_self_snapshot *snapshot)
{
    opal_argv_free(snapshot->argv);
    free(snapshot->exe);
    free(snapshot->cwd);
    free(snapshot->prefix);
    *snapshot = (struct opal_crs_self_snapshot){0};
}
